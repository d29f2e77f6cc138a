//! The events of a trail, read from its files without the program that wrote them.

use std::{io::Read as _, path::Path};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Every event in the segments of a directory, in order.
///
/// # Errors
/// If a file cannot be read, or what begins as an event is none.
pub fn events(directory: &Path) -> Result<Vec<Value>> {
    const BEGIN: &[u8] = b"{\"event\":\"";
    let entries = std::fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
    let mut segments: Vec<_> = entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    segments.sort();
    let mut events = Vec::new();
    for segment in segments {
        let bytes = written(std::fs::File::open(&segment)?)?;
        let mut rest = bytes.as_slice();
        while let Some(at) = rest.windows(BEGIN.len()).position(|window| window == BEGIN) {
            let from = rest.get(at..).unwrap_or_default();
            let mut values = serde_json::Deserializer::from_slice(from).into_iter::<Value>();
            events.push(values.next().context("an event that is none")??);
            rest = from.get(values.byte_offset()..).unwrap_or_default();
        }
    }
    Ok(events)
}

/// What is written in a segment: the rest of the file is zeros for what is to come.
fn written(mut segment: std::fs::File) -> std::io::Result<Vec<u8>> {
    const PIECE: usize = 64 * 1024;
    let (mut bytes, mut piece, zeros) = (Vec::new(), vec![0; PIECE], vec![0; PIECE]);
    loop {
        let read = segment.read(&mut piece)?;
        let piece = piece.get(..read).unwrap_or_default();
        if piece.is_empty() || zeros.starts_with(piece) {
            return Ok(bytes);
        }
        bytes.extend_from_slice(piece);
    }
}
