//! `ambit audit export` and `ambit audit verify`: evidence for somebody who trusts a key or a checkpoint, not this machine.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use ambit_ledger::{
    VerifyingKey,
    verify::{Report, Trusted, Verdict},
};
use ambit_trail::{Disk, Exported, export, verify_directory, verify_export};
use clap::Args;
use serde_json::json;

use crate::{
    commands::{Context, DONE, Ended, FINDING, Failure},
    config::quantity::instant_text,
};

/// The largest key or checkpoint file that is read.
const MAX_NOTE: u64 = 64 * 1024;

/// Write the whole trail into one file that can be verified anywhere.
#[derive(Args, Debug)]
#[command(after_help = "Example: ambit audit export trail.jsonl")]
pub(super) struct Export {
    /// The file to write.
    file: PathBuf,
}

/// Find alteration, truncation and replacement in an export, or in the trail itself. Without a key or checkpoint from
/// elsewhere, only self-consistency can be shown, and that is not enough: exit code 1.
#[derive(Args, Debug)]
#[command(
    after_help = "Example: ambit audit verify trail.jsonl --key 'gateway.example/trail/node+…' --checkpoint checkpoint.txt"
)]
pub(super) struct Verify {
    /// An export, or a directory of segments; the configured trail if absent.
    file: Option<PathBuf>,
    /// The trail's verifier key, or a file that holds it. Take it from elsewhere, not from the same machine.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// A file with a signed checkpoint that was kept elsewhere.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
}

impl Export {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Ended {
        let directory = context.resolved()?.trail_dir();
        let file = self.file.clone();
        let exported = blocking(move || write_whole(&directory, &file)).await?;
        let value = json!({
            "file": self.file,
            "records": exported.records,
            "key": exported.key,
            "checkpoint": exported.checkpoint,
        });
        let text = format!(
            "{} records in {}\nkey: {}\nkeep key and checkpoint elsewhere: without them an export only shows that it fits itself",
            exported.records,
            self.file.display(),
            exported.key
        );
        context.print(&value, &text)?;
        Ok(DONE)
    }
}

/// Writes a neighbour first: a file under the given name is a whole export.
fn write_whole(directory: &Path, file: &Path) -> Result<Exported, Failure> {
    let neighbour = file.with_extension(format!("{}.tmp", std::process::id()));
    let written = (|| {
        let mut out = BufWriter::new(File::create(&neighbour).map_err(cannot_write(&neighbour))?);
        let exported = export(Arc::new(Disk), directory, &mut out).map_err(Failure::because)?;
        out.flush().and_then(|()| out.get_ref().sync_all()).map_err(cannot_write(&neighbour))?;
        fs::rename(&neighbour, file).map_err(cannot_write(file))?;
        Ok(exported)
    })();
    if written.is_err() {
        // Half an export is of no use; that it cannot be removed changes nothing.
        drop(fs::remove_file(&neighbour));
    }
    written
}

fn cannot_write(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    let path = path.display().to_string();
    move |error| Failure::Refused(format!("cannot write `{path}`: {error}"))
}

impl Verify {
    pub(super) async fn run(self, context: &mut Context<'_>) -> Ended {
        let trusted = Trusted {
            key: self.key.as_deref().map(read_key).transpose()?,
            checkpoint: self.checkpoint.as_deref().map(|path| read_note("--checkpoint", path)).transpose()?,
        };
        let place = match self.file {
            Some(file) => file,
            None => context.resolved()?.trail_dir(),
        };
        let report = blocking(move || verify(&place, trusted)).await?;
        let reach = reach(&report).map(|reach| format!("{reach}\n")).unwrap_or_default();
        context.print(&report, &format!("{reach}{report}"))?;
        Ok(match report.verdict {
            Verdict::Verified => DONE,
            Verdict::SelfConsistentOnly | Verdict::Failed => FINDING,
        })
    }
}

/// Which checkpoint it was verified against, and how old that is: what came later may have been cut off unseen.
fn reach(report: &Report) -> Option<String> {
    let (which, records, until) = match (report.given, report.covered) {
        (Some(given), _) => ("the checkpoint given", given, report.given_until),
        (None, 0) => return None,
        (None, covered) => ("the latest checkpoint in it", covered, report.covered_until),
    };
    let until = until.map(|at| format!(", the last of {}", instant_text(at))).unwrap_or_default();
    Some(format!("{which}: {records} records{until}"))
}

fn verify(place: &Path, trusted: Trusted) -> Result<Report, Failure> {
    let unreadable = |error: io::Error| Failure::Usage(format!("cannot read `{}`: {error}", place.display()));
    if fs::metadata(place).map_err(unreadable)?.is_dir() {
        return verify_directory(&Disk, place, trusted).map_err(Failure::because);
    }
    let mut file = BufReader::new(File::open(place).map_err(unreadable)?);
    verify_export(&mut file, trusted).map_err(Failure::because)
}

/// A key as given, or the file that holds it.
fn read_key(text: &str) -> Result<VerifyingKey, Failure> {
    let of_file = Path::new(text);
    let key = if of_file.is_file() { read_note("--key", of_file)? } else { text.to_owned() };
    key.trim().parse().map_err(|error| Failure::Usage(format!("`--key` is not a verifier key: {error}")))
}

fn read_note(option: &str, path: &Path) -> Result<String, Failure> {
    let unreadable = |why: String| Failure::Usage(format!("`{option}`: cannot read `{}`: {why}", path.display()));
    let length = fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if length > MAX_NOTE {
        return Err(unreadable(format!("it has {length} bytes, at most {MAX_NOTE} are read")));
    }
    fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(Failure::because)?
}
