//! How long the disk takes to make a small write durable, as the trail does it: into a file that has its size already.

use std::{
    fs::{File, OpenOptions},
    io::{Seek as _, SeekFrom, Write as _},
    path::Path,
    time::Instant,
};

use anyhow::Result;

const WRITES: usize = 200;

/// The median of 200 writes of 4 KiB, each followed by `fdatasync`, in milliseconds.
pub fn fsync_p50_ms(folder: &Path) -> Result<f64> {
    let path = folder.join("fsync.tmp");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    file.write_all(&vec![0_u8; 4096 * WRITES])?;
    file.sync_all()?;
    let mut times = (0..WRITES).map(|position| timed(&mut file, position)).collect::<Result<Vec<f64>>>()?;
    std::fs::remove_file(&path)?;
    times.sort_by(f64::total_cmp);
    Ok(times.get(WRITES / 2).copied().unwrap_or_default())
}

fn timed(file: &mut File, position: usize) -> Result<f64> {
    file.seek(SeekFrom::Start(u64::try_from(position * 4096)?))?;
    let begin = Instant::now();
    file.write_all(&[1_u8; 4096])?;
    file.sync_data()?;
    Ok(begin.elapsed().as_secs_f64() * 1000.0)
}
