//! The built program's demo as a child process: started, waited for, killed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

/// How long it may print nothing before it is ready.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A demo that is ready.
pub struct Demo {
    pub child: Child,
    /// The ready file.
    pub ready: Value,
}

impl Demo {
    /// Starts on the data in `dir`, or on the database, and waits for the line that follows the ready file.
    pub fn start(dir: &Path, database: Option<&str>) -> Demo {
        let ready_file = dir.join("ready.json");
        let child = Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(["demo", "--port", "0", "--ready-file"])
            .arg(&ready_file)
            .arg("--data")
            .arg(dir.join("world"))
            .args(database.map(|url| ["--database", url]).into_iter().flatten())
            .env("RUST_LOG", "warn")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // From here on it is killed whatever happens.
        let mut demo = Demo { child, ready: Value::Null };
        let lines = BufReader::new(demo.child.stdout.take().unwrap()).lines();
        let (sender, written) = mpsc::channel();
        // Later output is discarded, but the pipe must not fill up.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let mut told = Vec::new();
        while !told.last().is_some_and(|line: &String| line.contains("Ctrl-C ends the demo")) {
            let next = written.recv_timeout(TIMEOUT);
            told.push(next.unwrap_or_else(|_| panic!("the demo is not ready:\n{}", told.join("\n"))));
        }
        demo.ready = serde_json::from_str(&std::fs::read_to_string(&ready_file).unwrap()).unwrap();
        demo
    }

    /// A member of the ready file, as text.
    pub fn text(&self, pointer: &str) -> String {
        self.ready.pointer(pointer).and_then(Value::as_str).unwrap().to_owned()
    }

    /// Key and secret of the Service User with all scopes.
    pub fn treasury_bot(&self) -> [String; 2] {
        ["api_key", "api_secret"].map(|name| self.text(&format!("/service_users/0/{name}")))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // A child that is gone already cannot be killed again.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
