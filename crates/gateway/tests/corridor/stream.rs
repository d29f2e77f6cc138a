//! An answer that is read event by event.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;

use crate::room::Room;

pub struct Stream {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Body,
    text: String,
    /// Everything that came, as it came.
    pub raw: String,
}

/// What comes on a stream.
#[derive(Debug, PartialEq)]
pub enum Came {
    Data(String),
    Comment,
    End,
}

impl Stream {
    pub async fn of(room: &Room, request: Request<Body>) -> Self {
        let response = tokio::time::timeout(Duration::from_secs(10), room.answer(request)).await.unwrap();
        let (head, body) = response.into_parts();
        Self { status: head.status, headers: head.headers, body, text: String::new(), raw: String::new() }
    }

    pub fn media(&self) -> &str {
        self.headers["content-type"].to_str().unwrap()
    }

    pub async fn came(&mut self) -> Came {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let came = match event.strip_prefix("data: ") {
                    Some(data) => Came::Data(data.to_owned()),
                    None if event == ":" => Came::Comment,
                    None => panic!("{event:?}"),
                };
                self.text = rest.into();
                return came;
            }
            let frame = tokio::time::timeout(Duration::from_secs(10), self.body.frame()).await.unwrap();
            let Some(frame) = frame else {
                assert_eq!(self.text, "");
                return Came::End;
            };
            let text = String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap();
            self.raw.push_str(&text);
            self.text.push_str(&text);
        }
    }

    /// The data of the next event.
    pub async fn next(&mut self) -> Option<String> {
        for _ in 0..1_000 {
            match self.came().await {
                Came::Data(data) => return Some(data),
                Came::Comment => {}
                Came::End => return None,
            }
        }
        panic!("nothing but comments: {}", self.raw)
    }

    pub async fn rest(mut self) -> Vec<Value> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(serde_json::from_str(&event).unwrap_or_else(|_| panic!("{event}")));
        }
        events
    }
}
