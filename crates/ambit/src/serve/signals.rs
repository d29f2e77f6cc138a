//! Signals of the operating system: SIGTERM and SIGINT end the process in order, SIGHUP reloads.

use anyhow::Context as _;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// Turns SIGTERM and SIGINT into a shutdown.
///
/// # Errors
/// If the handlers cannot be installed.
pub fn shutdown() -> anyhow::Result<watch::Receiver<bool>> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be watched")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be watched")?;
    let (stop, stopping) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("asked to stop: finishing what runs");
        stop.send_replace(true);
    });
    Ok(stopping)
}

/// Resolves when the shutdown says so, or when nobody is left who could.
pub async fn until(mut shutdown: watch::Receiver<bool>) {
    // An error means the sender is gone, which ends the process as well.
    let _ = shutdown.wait_for(|stop| *stop).await;
}
