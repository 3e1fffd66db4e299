//! Debian's Chromium, driven by its own driver: what a Member sees and does.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::{Value, json};

use super::client::{PASSWORD, code};

const TIMEOUT: Duration = Duration::from_secs(20);
const HINT: &str = "install it first: apt-get install chromium chromium-driver (scripts/test does)";

/// One browser at a time: two of them and the servers are too much for two cores.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// How the page is shown.
#[derive(Clone, Copy)]
pub struct Look {
    pub width: u32,
    pub height: u32,
    pub dark: bool,
}

pub const DESK: Look = Look { width: 1280, height: 900, dark: false };

pub struct Browser {
    pub client: Client,
    address: SocketAddr,
    _driver: Driver,
    _profile: tempfile::TempDir,
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

/// The browser's driver as a child process.
struct Driver {
    child: Child,
    port: u16,
}

impl Driver {
    fn start() -> Driver {
        // It draws a port, and ends if that is taken meanwhile.
        let driver = (0..5).find_map(|_| Driver::with_a_port());
        driver.expect("chromedriver says its port")
    }

    fn with_a_port() -> Option<Driver> {
        let started = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).spawn();
        let mut child = started.unwrap_or_else(|error| panic!("chromedriver: {error}; {HINT}"));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut driver = Driver { child, port: 0 };
        driver.port = lines.find_map(|line| {
            let line = line.unwrap();
            println!("{line}");
            let (_, port) = line.split_once("started successfully on port ")?;
            Some(port.trim_end_matches('.').parse().unwrap())
        })?;
        std::thread::spawn(move || lines.for_each(drop));
        Some(driver)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // A child that is gone already cannot be killed again.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Browser {
    pub async fn open(address: SocketAddr) -> Browser {
        Browser::look(address, DESK).await
    }

    pub async fn look(address: SocketAddr, look: Look) -> Browser {
        let turn = TURN.lock().await;
        let driver = Driver::start();
        let profile = tempfile::tempdir().unwrap();
        let mut args: Vec<String> = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
        ]
        .map(str::to_owned)
        .into();
        args.push(format!("--window-size={},{}", look.width, look.height));
        args.push(format!("--blink-settings=preferredColorScheme={}", u8::from(!look.dark)));
        args.push(format!("--user-data-dir={}", profile.path().display()));
        let notifications = json!({"profile.default_content_setting_values.notifications": 1});
        let mut options = json!({"args": args, "prefs": notifications});
        if look.width < 500 {
            // A phone is narrower than the narrowest window.
            let metrics = json!({"width": look.width, "height": look.height, "pixelRatio": 1.0, "touch": true});
            options["mobileEmulation"] = json!({"deviceMetrics": metrics});
        }
        let mut capabilities = Capabilities::new();
        capabilities.insert("goog:chromeOptions".to_owned(), options);
        let built = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{}", driver.port))
            .await;
        let client = built.unwrap_or_else(|error| panic!("no browser: {error}; {HINT}"));
        let browser = Browser { client, address, _driver: driver, _profile: profile, _turn: turn };
        browser.go("").await;
        browser
    }

    /// Goes to a place of the page, such as `#/queue`.
    pub async fn go(&self, place: &str) {
        self.client.goto(&format!("http://{}/{place}", self.address)).await.unwrap();
    }

    /// Signs in with the code `steps` away from now and waits for the queue.
    pub async fn sign_in(&self, name: &str, steps: i64) {
        self.sign_in_as(&format!("{name}@acme.test"), PASSWORD, &code(steps)).await;
    }

    pub async fn sign_in_as(&self, email: &str, password: &str, otp: &str) {
        self.fill("#sign-in input[type=email]", email).await;
        self.fill("#sign-in input[type=password]", password).await;
        self.fill("#sign-in input[name=otp]", otp).await;
        self.click("#sign-in button.primary").await;
        self.wait("#connection[data-state=live]").await;
    }

    /// The element, once it is there.
    pub async fn wait(&self, css: &str) -> Element {
        let found = self.client.wait().at_most(TIMEOUT).for_element(Locator::Css(css)).await;
        match found {
            Ok(element) => element,
            Err(error) => panic!("{css}: {error}\n{}", self.text("body").await),
        }
    }

    pub async fn fill(&self, css: &str, text: &str) {
        let element = self.wait(css).await;
        element.clear().await.unwrap();
        element.send_keys(text).await.unwrap();
    }

    pub async fn click(&self, css: &str) {
        self.wait(css).await.click().await.unwrap();
    }

    /// Clicks the button or link that says exactly this.
    pub async fn press(&self, words: &str) {
        let path = format!("//*[self::button or self::a][normalize-space(.)='{words}']");
        let found = self.client.wait().at_most(TIMEOUT).for_element(Locator::XPath(&path)).await;
        let element = found.unwrap_or_else(|error| panic!("{words}: {error}"));
        element.click().await.unwrap();
    }

    pub async fn text(&self, css: &str) -> String {
        match self.client.find(Locator::Css(css)).await {
            Ok(element) => element.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// Runs a function body in the page until it gives `true`.
    pub async fn until(&self, script: &str) {
        let ask = || async { self.client.execute(script, Vec::new()).await };
        let told = tokio::time::timeout(TIMEOUT, async {
            let mut beat = tokio::time::interval(Duration::from_millis(50));
            while !matches!(ask().await, Ok(Value::Bool(true))) {
                beat.tick().await;
            }
        });
        if told.await.is_err() {
            panic!("never true: {script}\n{}", self.text("body").await);
        }
    }

    /// What a function body gives, awaited.
    pub async fn eval(&self, script: &str) -> Value {
        let whole = format!(
            "const done = arguments[arguments.length - 1]; (async () => {{ {script} }})().then(done, (e) => done(String(e)));"
        );
        self.client.execute_async(&whole, Vec::new()).await.unwrap()
    }

    /// Holds back each answer to `method` from now on, until [`Browser::answered`].
    pub async fn hold(&self, method: &str) {
        let script = format!(
            "globalThis.late = [];
             const on = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'onmessage');
             Object.defineProperty(WebSocket.prototype, 'onmessage', {{ set(heard) {{ on.set.call(this, (event) =>
                 event.data.includes('\"method\":\"{method}\"') ? late.push(() => heard(event)) : heard(event)); }} }});"
        );
        self.eval(&script).await;
    }

    /// Waits until this many answers are held back.
    pub async fn held(&self, count: usize) {
        self.until(&format!("return late.length === {count}")).await;
    }

    /// Releases one of the answers held back, and lets its consequences happen.
    pub async fn answered(&self, at: usize) {
        self.eval(&format!("late[{at}](); await new Promise((done) => setTimeout(done));")).await;
    }

    /// A picture of the page as it is.
    pub async fn screenshot(&self, name: &str) {
        let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(format!("{name}.png")), self.client.screenshot().await.unwrap()).unwrap();
    }

    pub async fn close(self) {
        self.client.close().await.unwrap();
    }
}
