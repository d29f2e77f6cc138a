//! Webhooks against a receiver that answers as it is told.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use ambit_egress::{Client, EgressRules, Roots, Settings, Target};
use ambit_live::notices::{About, Notice, NoticeKind};
use ambit_model::{
    Effect,
    ids::{ServerSlug, ToolId},
    secret::Secret,
};
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::oneshot,
};

use super::App;
use crate::webhooks::{Format, Hooks, SigningKey, Webhook, deliver::run_at};

const KEY: [u8; 24] = [9; 24];

const WAITS: [Duration; 4] = [Duration::from_millis(20); 4];

/// A receiver: what it was sent, and the statuses it answers with, the last of them for ever.
#[derive(Clone)]
struct Receiver {
    url: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    async fn start(statuses: Vec<u16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook?token=s3cret-of-the-url", listener.local_addr().unwrap());
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = Arc::clone(&heard);
        tokio::spawn(async move {
            let mut statuses = statuses.into_iter().peekable();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut text = String::new();
                let mut buffer = [0; 4096];
                while !is_whole(&text) {
                    let read = stream.read(&mut buffer).await.unwrap_or(0);
                    if read == 0 {
                        break;
                    }
                    text.push_str(&String::from_utf8_lossy(&buffer[..read]));
                }
                told.lock().unwrap().push(text);
                let status = statuses.next_if(|_| true).unwrap_or(0);
                if statuses.peek().is_none() {
                    statuses = vec![status].into_iter().peekable();
                }
                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { url, heard }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    async fn heard_when(&self, many: usize) -> Vec<String> {
        for _ in 0..1_000 {
            if self.heard().len() >= many {
                return self.heard();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("only {:?}", self.heard());
    }
}

fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn header<'a>(request: &'a str, name: &str) -> Option<&'a str> {
    let (head, _) = request.split_once("\r\n\r\n")?;
    head.lines()
        .find_map(|line| line.split_once(": ").filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, v)| v))
}

fn body(request: &str) -> Value {
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn egress() -> Client {
    let rules = EgressRules::new(vec!["127.0.0.1".parse().unwrap()]);
    Client::new(&Settings { rules, roots: Roots::native(), ..Settings::default() }).unwrap()
}

fn hook(url: &str, format: Format) -> Webhook {
    let client = egress();
    let key = format!("whsec_{}", STANDARD.encode(KEY));
    Webhook {
        name: "ops".into(),
        target: Target::parse(url, client.rules()).unwrap(),
        format,
        key: (format == Format::Generic).then(|| SigningKey::parse(&Secret::new(key)).unwrap()),
        kinds: NoticeKind::ALL.to_vec(),
    }
}

fn notice() -> Notice {
    Notice {
        kind: NoticeKind::ApprovalRequested,
        at: 1_800_000_000_000,
        id: "06f3".into(),
        about: About::Call {
            tool: ToolId::parse("mux/delete-asset").unwrap(),
            server: ServerSlug::parse("mux").unwrap(),
            effect: Effect::Destructive,
            environment: "production".into(),
        },
        requester: "user local:alice <@channel> & co".into(),
        link: "https://gw.example/approvals/06f3".into(),
    }
}

/// Runs delivery beside a body.
async fn beside(hooks: Vec<Webhook>, body: impl AsyncFnOnce(&App)) {
    let app = App::start().await;
    let (stop, stopped) = oneshot::channel::<()>();
    let running = run_at(WAITS, (app.live.clone(), egress(), Hooks::new(hooks)), async { drop(stopped.await) });
    let running = tokio::spawn(running);
    while app.live.notices().listeners() == 0 {
        tokio::task::yield_now().await;
    }
    body(&app).await;
    drop(stop);
    tokio::time::timeout(Duration::from_secs(5), running).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_message_is_signed_over_its_id_its_time_and_its_body() {
    let receiver = Receiver::start(vec![200]).await;
    beside(vec![hook(&receiver.url, Format::Generic)], async |app| {
        app.live.notices().tell(notice());
        let heard = receiver.heard_when(1).await;
        let request = &heard[0];
        assert!(request.starts_with("POST /hook?token="), "{request}");
        let (id, time) = (header(request, "webhook-id").unwrap(), header(request, "webhook-timestamp").unwrap());
        assert_eq!((id, time), ("msg_approval_requested_06f3", "1800000000"));
        let signed = format!("{id}.{time}.{}", request.split_once("\r\n\r\n").unwrap().1);
        let given = header(request, "webhook-signature").unwrap().strip_prefix("v1,").unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &KEY);
        hmac::verify(&key, signed.as_bytes(), &STANDARD.decode(given).unwrap()).unwrap();
        assert_eq!(
            body(request),
            json!({
                "type": "approval.requested",
                "timestamp": "2027-01-15T08:00:00Z",
                "data": {
                    "id": "06f3",
                    "tool": "mux/delete-asset",
                    "server": "mux",
                    "effect": "destructive",
                    "environment": "production",
                    "requester": "user local:alice <@channel> & co",
                    "link": "https://gw.example/approvals/06f3",
                },
            })
        );
    })
    .await;
}

#[tokio::test]
async fn a_chat_reads_a_line_in_which_nobody_elses_text_means_anything() {
    let receiver = Receiver::start(vec![200]).await;
    beside(vec![hook(&receiver.url, Format::Slack)], async |app| {
        app.live.notices().tell(notice());
        let heard = receiver.heard_when(1).await;
        assert_eq!(header(&heard[0], "webhook-signature"), None);
        assert_eq!(
            body(&heard[0]),
            json!({"text": "A call of `mux/delete-asset` (destructive, production) by user local:alice &lt;@channel&gt; \
                            &amp; co waits for a yes: <https://gw.example/approvals/06f3|look at it>"})
        );
    })
    .await;
}

/// The page where it is broken is not there for whoever should look at it, so no message leads to it.
#[tokio::test]
async fn of_broken_glass_people_hear_how_to_look_at_it() {
    let (chat, pager) = (Receiver::start(vec![200]).await, Receiver::start(vec![200]).await);
    let hooks = vec![hook(&chat.url, Format::Slack), hook(&pager.url, Format::Generic)];
    beside(hooks, async |app| {
        let about = About::Toolset {
            toolset: "cleanup".into(),
            until: 1_800_003_600_000,
            reason: "the <pager> rang".into(),
        };
        let link = "ambit break-glass review glass:06f3".into();
        app.live.notices().tell(Notice { kind: NoticeKind::GlassBroken, about, link, ..notice() });
        assert_eq!(
            body(&chat.heard_when(1).await[0])["text"],
            "user local:alice &lt;@channel&gt; &amp; co broke the glass for toolset `cleanup` until 2027-01-15T09:00:00Z: the \
             &lt;pager&gt; rang. Look at it: `ambit break-glass review glass:06f3 --reason …`"
        );
        let data = body(&pager.heard_when(1).await[0])["data"].clone();
        assert_eq!(data["review"], "ambit break-glass review glass:06f3");
        assert_eq!(data.get("link"), None, "no page that would not be found");
    })
    .await;
}

#[tokio::test]
async fn a_receiver_in_trouble_is_tried_again_and_then_given_up() {
    for (statuses, tries, is_given_up) in
        [(vec![503, 429, 200], 3, false), (vec![500], 5, true), (vec![410], 1, true), (vec![302], 1, true)]
    {
        let receiver = Receiver::start(statuses.clone()).await;
        beside(vec![hook(&receiver.url, Format::Generic)], async |app| {
            app.live.notices().tell(notice());
            let heard = receiver.heard_when(tries).await;
            let ids: Vec<_> = heard.iter().map(|request| header(request, "webhook-id").unwrap()).collect();
            assert!(ids.iter().all(|id| *id == ids[0]), "one message, however often it is sent");
            for _ in 0..200 {
                if is_given_up == app.trail().contains("webhook.give_up") {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            tokio::time::sleep(Duration::from_millis(60)).await;
            assert_eq!(receiver.heard().len(), tries, "{statuses:?}");
            let trail = app.trail();
            assert_eq!(trail.contains("webhook.give_up"), is_given_up, "{statuses:?}");
            assert!(!trail.contains("s3cret-of-the-url"), "a URL may be a secret");
        })
        .await;
    }
}

#[tokio::test]
async fn only_what_was_asked_for_is_heard_and_a_reload_counts_at_once() {
    let (one, two) = (Receiver::start(vec![200]).await, Receiver::start(vec![200]).await);
    let denied = Notice { kind: NoticeKind::ApprovalDenied, ..notice() };
    let app = App::start().await;
    let hooks = Hooks::new(vec![Webhook { kinds: vec![NoticeKind::ApprovalDenied], ..hook(&one.url, Format::Slack) }]);
    let running = tokio::spawn(run_at(WAITS, (app.live.clone(), egress(), hooks.clone()), std::future::pending()));
    while app.live.notices().listeners() == 0 {
        tokio::task::yield_now().await;
    }
    app.live.notices().tell(notice());
    app.live.notices().tell(denied.clone());
    assert!(one.heard_when(1).await[0].contains("was denied"));
    hooks.replace(vec![hook(&two.url, Format::Slack)]);
    app.live.notices().tell(notice());
    two.heard_when(1).await;
    assert_eq!(one.heard().len(), 1);
    running.abort();
}
