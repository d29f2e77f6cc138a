//! Webhooks as they are written: what is refused, and that nothing secret is shown.

use ambit_live::notices::NoticeKind;

use super::{load_text, problems};
use crate::config::{Address, raw::WebhookFormat};

#[test]
fn a_webhook_is_signed_or_a_line_for_a_chat() {
    let text = "[webhooks.pager]\nurl = \"https://hooks.example/x\"\nsecret = \"env:KEY\"\nevents = [\"approval.requested\"]\n\
                [webhooks.chat]\nurl = \"file:chat-url\"\nformat = \"slack\"\n";
    let resolved = load_text(text).unwrap();
    let (pager, chat) = (&resolved.webhooks["pager"], &resolved.webhooks["chat"]);
    assert!(matches!(&pager.address, Address::Plain(target) if target.host() == "hooks.example"));
    assert_eq!((pager.format, &pager.kinds), (WebhookFormat::Generic, &vec![NoticeKind::ApprovalRequested]));
    assert!(matches!(&chat.address, Address::Secret(_)));
    assert_eq!(chat.kinds, NoticeKind::ALL, "everything, if nothing is said");
}

#[test]
fn what_cannot_be_a_webhook_is_refused_and_no_secret_is_shown() {
    let shown = problems(
        "[webhooks.a]\nurl = \"https://hooks.example/x\"\n[webhooks.b]\nurl = \"http://hooks.example/x\"\nsecret = \
         \"env:KEY\"\n[webhooks.c]\nurl = \"https://169.254.169.254/x\"\nsecret = \"whsec_c2VjcmV0\"\n[webhooks.d]\nurl = \
         \"https://hooks.example/x\"\nformat = \"slack\"\nevents = [\"everything\"]\n",
    );
    for (place, says) in [
        ("webhooks.a.secret", "without a signature"),
        ("webhooks.b.url", "https"),
        ("webhooks.c.url", "169.254.169.254"),
        ("webhooks.c.secret", "literal"),
        ("webhooks.d.events[0]", "approval.requested"),
    ] {
        assert!(shown.lines().any(|line| line.contains(place) && line.contains(says)), "{place}: {says}\n{shown}");
    }
    assert!(!shown.contains("whsec_"), "{shown}");
}
