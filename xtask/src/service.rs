//! Programs that run beside a command: started, waited for, and ended with it however it ends.
//!
//! Each belongs to a small shell that waits on a pipe of this process. When the pipe closes, because the service was dropped or
//! because this process was killed, the shell ends the program.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::shell::command;

/// A program that takes no hint within five seconds is ended without one.
const SHELL: &str = r#"
exec 3<&0
"$@" 3<&- </dev/null &
child=$!
trap : INT TERM HUP
(
    trap '' INT TERM HUP
    read -r word <&3
    kill -TERM "$child"
    for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.5; kill -0 "$child" || exit; done
    kill -KILL "$child"
) >/dev/null 2>&1 &
exec 3<&-
code=0
while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
exit "$code"
"#;

/// A running program. Dropping it ends it.
#[derive(Debug)]
pub struct Service {
    name: String,
    shell: Child,
    pipe: Option<ChildStdin>,
    log: PathBuf,
}

impl Service {
    /// Starts a program with its output in `FOLDER/NAME.log`.
    pub fn start(name: &str, program: &Command, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("create `{}`", log.display()))?;
        let mut shell = under_shell(name, program);
        shell.stdin(Stdio::piped()).stdout(file.try_clone()?).stderr(file);
        let mut shell = shell.spawn().with_context(|| format!("cannot start `{name}`"))?;
        let pipe = shell.stdin.take();
        Ok(Self { name: name.to_owned(), shell, pipe, log })
    }

    /// Starts one of testkit's programs and returns it with the address it says it listens on.
    pub fn start_listening(name: &str, program: &Command, folder: &Path) -> Result<(Self, String)> {
        let log = folder.join(format!("{name}.log"));
        let errors = File::create(&log).with_context(|| format!("create `{}`", log.display()))?;
        let mut shell = under_shell(name, program);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
        let mut shell = shell.spawn().with_context(|| format!("cannot start `{name}`"))?;
        let stdout = shell.stdout.take().context("no standard output")?;
        let pipe = shell.stdin.take();
        let service = Self { name: name.to_owned(), shell, pipe, log };
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Nobody waits any more once the address is known.
                drop(sender.send(line));
            }
        });
        let line = receiver.recv_timeout(Duration::from_secs(20)).unwrap_or_default();
        match line.strip_prefix("listening on http://") {
            Some(address) => Ok((service, address.to_owned())),
            None => bail!("`{name}` did not say where it listens: {line}\n{}", service.log()),
        }
    }

    /// The process id of the shell: the program and its children lie below it.
    pub fn pid(&self) -> u32 {
        self.shell.id()
    }

    /// What it has written.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until a probe succeeds.
    ///
    /// # Errors
    /// The program ended, or the time is over; with what it wrote.
    pub fn wait_until(&mut self, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let begin = Instant::now();
        loop {
            if ready() {
                return Ok(());
            }
            if let Some(status) = self.shell.try_wait()? {
                bail!("`{}` ended at once: {status}\n{}", self.name, self.log());
            }
            if begin.elapsed() > limit {
                bail!("`{}` does not answer after {limit:?}\n{}", self.name, self.log());
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until the program ends by itself or by a signal of the terminal.
    pub fn wait(&mut self) -> Result<()> {
        self.shell.wait().map(drop).context("wait")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.pipe.take());
        for _ in 0..120 {
            if matches!(self.shell.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        drop(self.shell.kill());
        drop(self.shell.wait());
    }
}

/// The same program, run by the shell.
fn under_shell(name: &str, program: &Command) -> Command {
    let mut shell = command("/bin/sh");
    shell.arg("-c").arg(SHELL).arg(name).arg(program.get_program()).args(program.get_args());
    for (variable, value) in program.get_envs() {
        match value {
            Some(value) => shell.env(variable, value),
            None => shell.env_remove(variable),
        };
    }
    if let Some(folder) = program.get_current_dir() {
        shell.current_dir(folder);
    }
    shell
}

/// A port that was free a moment ago.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(name: &str) -> (Service, u32) {
        let mut program = command("/bin/sh");
        program.args(["-c", "echo $$; exec sleep 60"]);
        let mut service = Service::start(name, &program, &std::env::temp_dir()).unwrap();
        let log = service.log.clone();
        let said = || std::fs::read_to_string(&log).unwrap_or_default().trim().parse::<u32>();
        service.wait_until(Duration::from_secs(5), || said().is_ok()).unwrap();
        let pid = said().unwrap();
        (service, pid)
    }

    #[test]
    fn a_program_ends_with_its_service() {
        let (service, pid) = sleeper(&format!("xtask-sleeper-{}", std::process::id()));
        let process = PathBuf::from(format!("/proc/{pid}"));
        assert!(process.exists());
        let log = service.log.clone();
        drop(service);
        assert!(!process.exists());
        std::fs::remove_file(log).unwrap();
    }

    #[test]
    fn a_program_that_ends_at_once_is_an_error_with_what_it_said() {
        let mut program = command("/bin/sh");
        program.args(["-c", "echo no such thing >&2; exit 3"]);
        let name = format!("xtask-broken-{}", std::process::id());
        let mut service = Service::start(&name, &program, &std::env::temp_dir()).unwrap();
        let error = service.wait_until(Duration::from_secs(5), || false).unwrap_err().to_string();
        assert!(error.contains("ended at once") && error.contains("no such thing"), "{error}");
        std::fs::remove_file(service.log.clone()).unwrap();
    }
}
