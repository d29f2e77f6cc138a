//! Runs one act of an operator where it belongs: in the running server of the data directory, or directly on store and trail.

use std::sync::Arc;

use ambit_identity::signing::Signing;
use ambit_live::{Recorder, catalogue::ServerCatalogue, keys::Keys};
use ambit_store::Store;
use ambit_trail::Disk;

use super::{Context, DONE, Ended, Failure, login};
use crate::{
    admin::remote::{self, Remote},
    config::Resolved,
    operator::{Act, Done, OperatorContext, client, os_user::own_operator, perform, socket::Answer},
    serve,
};

/// Performs an act and prints what it came to: through the admin API, if one is named and it has this act.
pub(super) async fn run(act: Act, context: &mut Context<'_>) -> Ended {
    if let Some(url) = login::named(context) {
        match remote::request(&act) {
            Some(sent) => return run_at(&url, sent, context).await,
            None if context.common.admin.is_some() => {
                return Err(Failure::Usage("this is done on the machine alone: leave out `--admin`".into()));
            }
            None => {}
        }
    }
    let resolved = context.resolved()?;
    run_on(act, &resolved, context).await
}

/// The same under a configuration that was read already.
pub(super) async fn run_on(act: Act, resolved: &Resolved, context: &mut Context<'_>) -> Ended {
    let done = act_on(act, resolved, &[], context).await?;
    context.print(&done.result, &done.sentence)?;
    Ok(DONE)
}

async fn run_at(url: &str, sent: remote::Sent, context: &mut Context<'_>) -> Ended {
    let remote = Remote::new(url).map_err(Failure::Usage)?;
    let token = login::token(&remote, context)?;
    let done = remote.perform(sent, &token).await.map_err(Failure::Refused)?;
    context.print(&done.result, &done.sentence)?;
    Ok(DONE)
}

/// Performs an act. `seen` are tools the command has read itself.
pub(super) async fn act_on(
    act: Act,
    resolved: &Resolved,
    seen: &[Arc<ServerCatalogue>],
    context: &Context<'_>,
) -> Result<Done, Failure> {
    match client::ask(&resolved.operator_socket(), &act).await.map_err(Failure::because)? {
        Some(Answer::Done(done)) => Ok(done),
        Some(Answer::Refused { message }) => Err(Failure::Refused(message)),
        None => directly(act, resolved, seen, context).await,
    }
}

/// Whether a server runs on this data directory.
pub(super) async fn is_serving(resolved: &Resolved) -> bool {
    client::is_listening(&resolved.operator_socket()).await
}

async fn directly(
    act: Act,
    resolved: &Resolved,
    seen: &[Arc<ServerCatalogue>],
    context: &Context<'_>,
) -> Result<Done, Failure> {
    let clock = context.clock.clone();
    let keys = Arc::new(Keys::open(&resolved.key_dir()).map_err(Failure::because)?);
    let signing = Arc::new(Signing::open(&resolved.key_dir(), clock.now()).map_err(Failure::because)?);
    let store = Store::open(&resolved.store).await.map_err(Failure::because)?;
    let trail =
        serve::open_trail(resolved, &keys, Arc::new(Disk), &store, &clock).await.map_err(Failure::with_causes)?;
    let recorder = Recorder::new(trail.clone(), clock.clone());
    let deployment = Arc::new(resolved.deployment.clone());
    let operator =
        OperatorContext::direct(deployment, seen.to_vec(), (store.clone(), recorder), (keys, signing), clock);
    let done = perform(act, &own_operator(), &operator).await;
    drop(operator);
    trail.close().await;
    store.close().await;
    done.map_err(Failure::because)
}
