//! The configured webhooks with their secrets, read at start and again at reload.

use ambit_egress::{Client, Target};
use ambit_identity::webhooks::{Format, SigningKey, Webhook};
use anyhow::Context as _;

use crate::config::{Address, DeclaredWebhook, Resolved, raw::WebhookFormat, secrets};

/// Every declared webhook, ready to be spoken to.
///
/// # Errors
/// The first whose URL or key cannot be read. No message shows either.
pub fn read(resolved: &Resolved, client: &Client) -> anyhow::Result<Vec<Webhook>> {
    let each = resolved.webhooks.iter();
    each.map(|(name, declared)| ready(name, declared, client).with_context(|| format!("webhook `{name}`"))).collect()
}

fn ready(name: &str, declared: &DeclaredWebhook, client: &Client) -> anyhow::Result<Webhook> {
    let target = match &declared.address {
        Address::Plain(target) => target.clone(),
        Address::Secret(reference) => {
            let url = secrets::read(reference).map_err(anyhow::Error::msg);
            let url = url.with_context(|| format!("its URL `{reference}`"))?;
            Target::parse(url.expose(), client.rules()).with_context(|| format!("its URL `{reference}`"))?
        }
    };
    let key = declared.key.as_ref().map(|reference| {
        let secret = secrets::read(reference).map_err(anyhow::Error::msg);
        let secret = secret.with_context(|| format!("its secret `{reference}`"))?;
        SigningKey::parse(&secret).with_context(|| format!("its secret `{reference}`"))
    });
    Ok(Webhook {
        name: name.to_owned(),
        target,
        format: match declared.format {
            WebhookFormat::Generic => Format::Generic,
            WebhookFormat::Slack => Format::Slack,
        },
        key: key.transpose()?,
        kinds: declared.kinds.clone(),
    })
}
