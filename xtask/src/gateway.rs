//! An Ambit of a temporary deployment: its configuration written, its definitions accepted, its server running.
//!
//! Everything is done as an operator would do it, through the program's own commands.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{
    http,
    service::{Service, free_port},
    shell::{command, read},
};

/// A deployment in a folder of its own.
#[derive(Debug)]
pub struct Gateway {
    program: PathBuf,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    address: String,
    service: Option<Service>,
}

impl Gateway {
    /// Makes the folder anew and writes `ambit.toml`; the configuration is told the address to listen on.
    pub fn prepare(
        programs: &Path,
        folder: &Path,
        port: Option<u16>,
        environment: &[(&str, &str)],
        config: impl FnOnce(&str) -> String,
    ) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("remove `{}`", folder.display()))?;
        }
        fs::create_dir_all(folder).with_context(|| format!("make `{}`", folder.display()))?;
        let address = format!("127.0.0.1:{}", port.map_or_else(free_port, Ok)?);
        fs::write(folder.join("ambit.toml"), config(&address))?;
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let program = programs.join("ambit");
        Ok(Self { program, folder: folder.to_owned(), environment, address, service: None })
    }

    /// One of the program's commands on this deployment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command(&self.program);
        command.args(arguments).arg("--config").arg(self.folder.join("ambit.toml"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command and returns what it printed.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        read(&mut self.command(arguments))
    }

    /// Runs a command with `--json` and returns what it printed.
    pub fn run_json(&self, arguments: &[&str]) -> Result<Value> {
        let mut with_json = arguments.to_vec();
        with_json.push("--json");
        let printed = self.run(&with_json)?;
        serde_json::from_str(&printed)
            .with_context(|| format!("`ambit {}` printed no JSON: {printed}", arguments.join(" ")))
    }

    /// Accepts every definition of a server as it stands.
    pub fn accept(&self, server: &str) -> Result<()> {
        self.run(&["tools", "accept", server]).map(drop)
    }

    /// Starts serving and waits until it is ready.
    pub fn serve(&mut self) -> Result<()> {
        let mut service = Service::start("ambit", &self.command(&["serve"]), &self.folder)?;
        service.wait_until(Duration::from_mins(1), || http::is_ok(&self.address, "/readyz"))?;
        self.service = Some(service);
        Ok(())
    }

    /// An access token of a user for an endpoint.
    pub fn token(&self, user: &str, endpoint: &str) -> Result<String> {
        let answer = self.run_json(&["token", "--user", user, "--endpoint", endpoint])?;
        answer["access_token"].as_str().map(str::to_owned).with_context(|| format!("no token in {answer}"))
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The running server.
    pub fn service(&mut self) -> Option<&mut Service> {
        self.service.as_mut()
    }
}
