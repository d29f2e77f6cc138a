//! The real program as a process of its own: started, asked to stop, or killed.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
};

use crate::{
    person::Person,
    world::{Ground, command, eventually_so, get, text},
};

/// The program, running. Dropped, it is killed.
pub struct Process {
    pub address: SocketAddr,
    child: Child,
    config: PathBuf,
    /// Open as long as it runs: it says more than its address.
    _says: BufReader<ChildStdout>,
}

impl Process {
    /// Starts it on its ground, and waits until it is ready.
    pub async fn start(ground: &Ground) -> Self {
        let config = ground.directory.path().join("ambit.toml");
        let log = fs::File::options().create(true).append(true).open(log_of(ground)).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_ambit"))
            .args(["serve", "--log", "warn", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut says = BufReader::new(child.stdout.take().unwrap());
        says.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").and_then(|rest| rest.parse().ok());
        let Some(address) = address else {
            drop(child.kill());
            panic!("it does not listen: `{line}` {}", fs::read_to_string(log_of(ground)).unwrap());
        };
        eventually_so("it is ready", async || get(address, "/readyz").await.status == 200).await;
        Self { child, address, config, _says: says }
    }

    /// A fresh token of alice.
    pub async fn alice(&self) -> Person {
        let (code, out, err) = self.ambit(&["token", "--user", "alice", "--endpoint", "/mcp", "--json"]).await;
        assert_eq!(code, 0, "{out}{err}");
        let minted: serde_json::Value = serde_json::from_str(&out).unwrap();
        Person::new(self.address, minted["access_token"].as_str().unwrap_or_else(|| panic!("{minted}")).to_owned())
    }

    /// Runs a command against it.
    pub async fn ambit(&self, args: &[&str]) -> (u8, String, String) {
        command(&[&["--config", text(&self.config)], args].concat()).await
    }

    /// Asks it to stop, and waits until it has; whether it says that all went well.
    pub fn terminate(mut self) -> bool {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(asked.success());
        self.child.wait().unwrap().success()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already gone after `kill`.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Holds that it never complained of anything that should not happen.
pub fn hold_calm(ground: &Ground) {
    let complaints = fs::read_to_string(log_of(ground)).unwrap();
    assert!(!complaints.contains("panicked") && !complaints.contains("ERROR"), "{complaints}");
}

fn log_of(ground: &Ground) -> PathBuf {
    ground.directory.path().join("log")
}
