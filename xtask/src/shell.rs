//! Running programs: shown before they start, their failure an error with the command in it.

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use anyhow::{Context as _, Result, bail};

/// The workspace's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// A command that starts in the workspace's root.
pub fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.current_dir(root());
    command
}

/// A cargo command, of the toolchain that runs this.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = command(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    // Variables that cargo set for this program would make it rebuild what it has.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR")
    {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

/// Runs a command to its end, its output going where ours goes.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    println!("$ {shown}");
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed: {status}");
    }
    Ok(())
}

/// Runs a command quietly and returns what it printed on its standard output.
pub fn read(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{shown}` failed: {}\n{}{said}", output.status, String::from_utf8_lossy(&output.stdout));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first of the month ten months ahead, `2027-09-01`: as far as a configuration may grant, with room to spare.
///
/// # Errors
/// If there is no `date`.
pub fn in_ten_months() -> Result<String> {
    let today = read(command("date").args(["-u", "+%Y %m"]))?;
    let mut parts = today.split_whitespace().map(str::parse::<u32>);
    let (Some(Ok(year)), Some(Ok(month))) = (parts.next(), parts.next()) else {
        anyhow::bail!("`date` answered `{today}`");
    };
    let month = month + 9;
    Ok(format!("{}-{:02}-01", year + month / 12, month % 12 + 1))
}

/// Runs a command, passing its output on line by line, and returns whether it succeeded and all it printed.
pub fn tee(command: &mut Command) -> Result<(bool, String)> {
    let shown = show(command);
    println!("$ {shown}");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let (sender, lines) = mpsc::channel();
    let readers = [
        child.stdout.take().map(|stream| pass_lines(stream, sender.clone())),
        child.stderr.take().map(|stream| pass_lines(stream, sender)),
    ];
    let mut printed = String::new();
    for line in lines {
        println!("{line}");
        writeln!(printed, "{line}")?;
    }
    for reader in readers.into_iter().flatten() {
        drop(reader.join());
    }
    Ok((child.wait()?.success(), printed))
}

fn pass_lines(stream: impl Read + Send + 'static, sender: mpsc::Sender<String>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut lines = BufReader::new(stream);
        let mut line = Vec::new();
        // A line that is not UTF-8 is shown as well as it can be.
        while lines.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&line);
            if sender.send(text.trim_end_matches(['\n', '\r']).to_owned()).is_err() {
                return;
            }
            line.clear();
        }
    })
}

/// Whether a program is there and runs with these arguments.
pub fn works(program: &str, arguments: &[&str]) -> bool {
    let status =
        command(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// A command as one would type it.
fn show(command: &Command) -> String {
    let mut shown = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        shown.push(' ');
        shown.push_str(&argument.to_string_lossy());
    }
    let root = format!("{}/", root().display());
    shown.replace(&root, "")
}
