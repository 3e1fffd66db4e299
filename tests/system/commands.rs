//! The commands as an operator runs them, and the unit with which systemd runs the server.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use super::served::Served;
use super::world::MASTER;

fn countersign(arguments: &[&str], dir: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_countersign")).args(arguments).current_dir(dir).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A fresh server directory made by `init`.
fn initialised() -> (tempfile::TempDir, Output) {
    let dir = tempfile::tempdir().unwrap();
    let output = countersign(&["init"], dir.path());
    assert!(output.status.success(), "{}", err(&output));
    (dir, output)
}

#[test]
fn init_writes_settings_key_and_journal_and_shows_the_secret_once() {
    let (dir, output) = initialised();
    let settings = std::fs::read_to_string(dir.path().join("countersign.toml")).unwrap();
    assert_eq!(countersign::config::Config::parse(&settings).unwrap(), countersign::config::Config::default());
    let mode = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("master.key"), mode("data")), (0o600, 0o700));
    let printed = out(&output);
    let secret = printed.lines().find_map(|line| line.strip_prefix("secret")).unwrap();
    let secret = secret.split_whitespace().next().unwrap();
    let journal = std::fs::read(dir.path().join("data/journal.db")).unwrap();
    let plain = countersign::gateway::credentials::decode_secret(secret).unwrap();
    assert!(!journal.windows(plain.len()).any(|window| window == plain.as_slice()), "the secret is stored sealed");
    assert!(!journal.windows(secret.len()).any(|window| window == secret.as_bytes()));
}

#[test]
fn what_init_writes_is_for_its_owner_alone_also_in_a_directory_that_is_open_to_others() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::create_dir(dir.path().join("data")).unwrap();
    assert!(countersign(&["init"], dir.path()).status.success());
    for name in ["countersign.toml", "master.key", "data/journal.db", "data/lock", "data/reserve"] {
        let mode = std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name} has mode {mode:o}");
    }
}

#[test]
fn an_init_that_fails_can_be_done_again_and_says_what_is_in_the_way() {
    let (dir, _) = initialised();
    let database = ["--database", "postgres://me@127.0.0.1:1/live"];
    for (place, wanted) in
        [(["--data", "data"], "data holds a journal already; nothing was changed"), (database, "refused")]
    {
        for _ in 0..2 {
            let failed = countersign(&[&["init", "--dir", "other"], &place[..]].concat(), dir.path());
            assert_eq!(failed.status.code(), Some(1));
            assert!(err(&failed).contains(wanted), "{}", err(&failed));
        }
    }
    assert!(countersign(&["init", "--dir", "other"], dir.path()).status.success());
}

#[test]
fn an_init_that_cannot_write_a_file_leaves_none_and_can_be_done_again() {
    for file in ["countersign.toml", "master.key"] {
        let dir = tempfile::tempdir().unwrap();
        // The link's target does not exist and cannot be created.
        std::os::unix::fs::symlink("nowhere/file", dir.path().join(file)).unwrap();
        let failed = countersign(&["init"], dir.path());
        assert!(failed.status.code() == Some(1) && err(&failed).contains(file), "{file}: {failed:?}");
        std::fs::remove_file(dir.path().join(file)).unwrap();
        for left in ["countersign.toml", "master.key"] {
            assert!(!dir.path().join(left).exists(), "{left} is there though {file} could not be written");
        }
        let again = countersign(&["init"], dir.path());
        assert!(again.status.success(), "{}", err(&again));
    }
}

#[test]
fn an_init_that_cannot_show_the_secret_leaves_no_key_and_can_be_done_again() {
    let dir = tempfile::tempdir().unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut init = Command::new(env!("CARGO_BIN_EXE_countersign"));
    let failed = init.arg("init").current_dir(dir.path()).stdout(full).output().unwrap();
    assert!(failed.status.code() == Some(1) && err(&failed).contains("the secret cannot be shown"), "{failed:?}");
    assert!(!dir.path().join("master.key").exists());
    assert!(countersign(&["init"], dir.path()).status.success());
}

#[test]
fn init_puts_the_data_where_it_is_told_and_a_journal_without_a_first_entry_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(countersign(&["init", "--dir", "etc", "--data", "lib"], dir.path()).status.success());
    let settings = dir.path().join("etc/countersign.toml");
    let config = countersign::config::Config::load(&settings).unwrap();
    assert_eq!(config.data_dir.canonicalize().unwrap(), dir.path().join("lib").canonicalize().unwrap());
    assert!(config.data_dir.join("journal.db").exists());
    let moved = std::fs::read_to_string(&settings).unwrap().replace("/lib\"", "/elsewhere\"");
    std::fs::write(&settings, moved).unwrap();
    // The first one leaves an empty journal there.
    for action in ["serve", "verify"] {
        let empty = countersign(&[action, "--config", "etc/countersign.toml"], dir.path());
        assert!(!empty.status.success(), "{action}");
        assert!(err(&empty).contains("the journal is empty"), "{action}: {}", err(&empty));
    }
}

/// Its command and directory are those of the page with the unit.
#[test]
fn the_systemd_unit_is_sound_and_its_command_is_understood() {
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    let (unit, page) = (read("docs/operations/countersign.service"), read("docs/operations.md"));
    let setting = |name: &str| unit.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let (command, state) = (setting("ExecStart=/usr/local/bin/"), setting("StateDirectory="));
    assert!(page.contains(&format!("\n{command}\n")) && page.contains(&format!(" --data /var/lib/{state} ")));

    let dir = tempfile::tempdir().unwrap();
    let installed = unit.replace("/usr/local/bin/countersign", env!("CARGO_BIN_EXE_countersign"));
    std::fs::write(dir.path().join("countersign.service"), installed).unwrap();
    let mut verify = Command::new("systemd-analyze");
    let verified = verify.args(["verify", "countersign.service"]).current_dir(dir.path()).output();
    let verified = verified.expect("install it first: apt-get install systemd (scripts/test does)");
    let told = err(&verified);
    let remarks: Vec<&str> = told.lines().filter(|line| line.contains("countersign")).collect();
    assert!(verified.status.success() && remarks.is_empty(), "{told}");

    // A wrong argument would end it with 2.
    let elsewhere = command.replace("/etc/countersign/", "nowhere/");
    let arguments: Vec<&str> = elsewhere.split(' ').skip(1).collect();
    let missing = countersign(&arguments, dir.path());
    assert!(missing.status.code() == Some(1) && err(&missing).contains("nowhere/countersign.toml"), "{missing:?}");
}

/// It is reported before the port opens; otherwise the first line would be about the port.
#[tokio::test]
async fn d1_14_serve_does_not_listen_off_loopback_without_tls_or_consent_nor_with_half_of_a_certificate() {
    let (dir, _) = initialised();
    let settings = dir.path().join("countersign.toml");
    let whole = std::fs::read_to_string(&settings).unwrap();
    let outside = whole.replace("listen = \"127.0.0.1:8080\"", "listen = \"0.0.0.0:0\"");
    assert_ne!(outside, whole);
    for (given, named) in [
        ("neither", "settings: listen: 0.0.0.0:0 is reachable from outside"),
        ("certificate", "settings: tls.key: "),
        ("key", "settings: tls.certificate: "),
    ] {
        std::fs::write(&settings, outside.replace(&format!("\n# {given} = "), &format!("\n{given} = "))).unwrap();
        let file = dir.path().join("log");
        let (mut serve, told) =
            Served::first_line(Served::serving(&settings, ("info", File::create(&file).unwrap().into()))).await;
        assert_eq!(told, "", "{given}");
        assert_eq!(serve.ended().await.code(), Some(1), "{given}");
        let log = std::fs::read_to_string(file).unwrap();
        assert!(log.contains(named), "{given}: {log}");
    }
}

#[test]
fn the_password_of_a_database_is_not_printed_when_its_url_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let output = countersign(&["init", "--database", "postgress://me:hush@db.example/live"], dir.path());
    assert!(!output.status.success());
    let told = out(&output) + &err(&output);
    assert!(told.contains("--database") && !told.contains("hush"), "{told}");
}

#[test]
fn a_database_that_cannot_be_reached_is_told_at_once_by_its_name_without_the_password() {
    let (dir, _) = initialised();
    std::fs::write(dir.path().join("t.toml"), "database = 'postgres://me:hush@127.0.0.1:1/live'").unwrap();
    for action in ["serve", "verify"] {
        // The head file is compared first.
        std::fs::write(dir.path().join("data/head"), "").unwrap();
        let output = countersign(&[action, "--config", "t.toml"], dir.path());
        let told = err(&output);
        assert!(told.contains("postgres://me:***@127.0.0.1:1/live: ") && told.contains("refused"), "{action}: {told}");
    }
}

#[test]
fn a_variable_that_is_wrong_is_named() {
    let (dir, _) = initialised();
    let verify = ["verify", "--data", "data"];
    for (variable, value, arguments) in [
        ("COUNTERSIGN_MASTER_KEY", "countersign=loud", ["serve", "--config", "countersign.toml"]),
        ("RUST_LOG", "countersign=loud", verify),
        ("RUST_LOG", "infoo", verify),
        ("RUST_LOG", "info,countersign", verify),
        ("RUST_LOG", "countersign=", verify),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        let output = command.args(arguments).current_dir(dir.path()).env(variable, value).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{variable}={value}");
        assert!(err(&output).contains(&format!("countersign: {variable}")), "{}", err(&output));
        assert!(variable != "RUST_LOG" || err(&output).contains("give a level such as debug"), "{}", err(&output));
    }
    for value in ["", "WARN", "off,countersign::storage=debug,"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        let output = command.args(verify).current_dir(dir.path()).env("RUST_LOG", value).output().unwrap();
        assert!(output.status.success(), "{value:?}: {}", err(&output));
    }
}

/// As with `| head`, or on a full disk.
#[test]
fn what_can_no_longer_be_told_does_not_end_the_demo_and_fails_verify() {
    let (dir, _) = initialised();
    let untold = |arguments: &[&str]| {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
        command.args(arguments).current_dir(dir.path()).stdout(full).output().unwrap()
    };
    let verified = untold(&["verify", "--data", "data"]);
    assert_eq!(verified.status.code(), Some(1), "{}", err(&verified));
    assert!(err(&verified).contains("No space left"), "{}", err(&verified));
    let demo = untold(&["demo", "--once", "--port", "0"]);
    assert!(demo.status.success(), "{}", err(&demo));
}

#[test]
fn init_seals_under_the_key_of_the_environment_and_makes_none_that_lies_with_the_data() {
    let dir = tempfile::tempdir().unwrap();
    let inside = countersign(&["init", "--data", "."], dir.path());
    assert!(!inside.status.success());
    assert!(err(&inside).contains("is inside the data directory"), "{}", err(&inside));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.arg("init").current_dir(dir.path()).env("COUNTERSIGN_MASTER_KEY", MASTER);
    let given = command.output().unwrap();
    assert!(out(&given).contains("from COUNTERSIGN_MASTER_KEY"), "{}", err(&given));
    assert!(!dir.path().join("master.key").exists());
}

#[test]
fn a_second_init_changes_nothing() {
    let (dir, _) = initialised();
    let key = std::fs::read(dir.path().join("master.key")).unwrap();
    let again = countersign(&["init"], dir.path());
    assert!(!again.status.success());
    assert!(err(&again).contains("nothing was changed"), "{}", err(&again));
    assert_eq!(std::fs::read(dir.path().join("master.key")).unwrap(), key);
}

#[test]
fn verify_tells_a_sound_journal_from_a_damaged_one() {
    let (dir, _) = initialised();
    let sound = countersign(&["verify", "--data", "data"], dir.path());
    assert!(sound.status.success(), "{}", err(&sound));
    assert!(out(&sound).contains("events      1\n"), "{}", out(&sound));

    let path = dir.path().join("data/journal.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let name = b"first venue key";
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    bytes[at] = b'F';
    std::fs::write(&path, bytes).unwrap();
    let damaged = countersign(&["verify", "--data", "data"], dir.path());
    assert!(!damaged.status.success());
    assert!(err(&damaged).contains("sequence 1"), "{}", err(&damaged));

    let missing = countersign(&["verify", "--data", "nowhere"], dir.path());
    assert!(!missing.status.success());
    assert!(err(&missing).contains("nowhere/journal.db: No such file"), "{}", err(&missing));
}
