//! An issuer on loopback that answers what a test says, keys of every algorithm, and a gateway that trusts it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use ambit_model::issuer::Issuer;
use aws_lc_rs::{
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::{Room, T0, deployment, endpoint, issuer};
use crate::{authenticate::AuthFailure, caller::Caller};

/// A key of a foreign issuer.
pub struct TestKey {
    pub kid: String,
    pub algorithm: &'static str,
    pair: Pair,
}

enum Pair {
    Rsa(rsa::KeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

impl TestKey {
    pub fn new(kid: &str, algorithm: &'static str) -> Self {
        let pair = match algorithm {
            "RS256" | "PS256" => Pair::Rsa(rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap()),
            "ES256" => Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
            _ => Pair::Ed(Ed25519KeyPair::generate().unwrap()),
        };
        Self { kid: kid.to_owned(), algorithm, pair }
    }

    pub fn jwk(&self) -> Value {
        let (algorithm, kid) = (self.algorithm, &self.kid);
        let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                let public = pair.public_key();
                let n = b64(public.modulus().big_endian_without_leading_zero());
                let e = b64(public.exponent().big_endian_without_leading_zero());
                json!({ "kty": "RSA", "n": n, "e": e })
            }
            Pair::Ec(pair) => {
                let point = pair.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..]) })
            }
            Pair::Ed(pair) => json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(pair.public_key().as_ref()) }),
        };
        jwk["kid"] = json!(kid);
        jwk["alg"] = json!(algorithm);
        jwk["use"] = json!("sig");
        jwk
    }

    pub fn sign_bytes(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let padding: &dyn aws_lc_rs::signature::RsaEncoding =
                    if self.algorithm == "RS256" { &RSA_PKCS1_SHA256 } else { &RSA_PSS_SHA256 };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
            Pair::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A token with the usual header.
    pub fn token(&self, claims: &Value) -> String {
        let header = json!({ "alg": self.algorithm, "typ": "at+jwt", "kid": self.kid });
        self.raw(&header.to_string(), &claims.to_string())
    }

    /// A token of any texts.
    pub fn raw(&self, header: &str, claims: &str) -> String {
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.sign_bytes(input.as_bytes()));
        format!("{input}.{signature}")
    }
}

pub fn jwks_of(keys: &[&TestKey]) -> String {
    json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() }).to_string()
}

/// What a scripted issuer answers at a path.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub content_type: &'static str,
    pub cache: Option<&'static str>,
    pub body: String,
    pub after: Duration,
}

impl Reply {
    pub fn json(body: impl Into<String>) -> Self {
        Self { status: 200, content_type: "application/json", cache: None, body: body.into(), after: Duration::ZERO }
    }

    pub fn status(status: u16) -> Self {
        Self { status, ..Self::json("{}") }
    }
}

/// An issuer on loopback whose answers can be changed, and which counts what it is asked.
pub struct Script {
    pub origin: String,
    replies: Arc<Mutex<BTreeMap<String, Reply>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let script = Self { origin, replies: Arc::default(), asked: Arc::default() };
        let (replies, asked) = (Arc::clone(&script.replies), Arc::clone(&script.asked));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (replies, asked) = (Arc::clone(&replies), Arc::clone(&asked));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    let head = String::from_utf8(head).unwrap();
                    let path = head.split(' ').nth(1).unwrap().to_owned();
                    asked.lock().unwrap().push(path.clone());
                    let reply = replies.lock().unwrap().get(&path).cloned().unwrap_or(Reply::status(404));
                    tokio::time::sleep(reply.after).await;
                    let cache = reply.cache.map_or(String::new(), |cache| format!("cache-control: {cache}\r\n"));
                    let head = format!(
                        "HTTP/1.1 {} x\r\ncontent-type: {}\r\ncontent-length: {}\r\n{cache}connection: close\r\n\r\n",
                        reply.status,
                        reply.content_type,
                        reply.body.len(),
                    );
                    let _ = stream.write_all(head.as_bytes()).await;
                    let _ = stream.write_all(reply.body.as_bytes()).await;
                });
            }
        });
        script
    }

    pub fn answer(&self, path: &str, reply: Reply) {
        self.replies.lock().unwrap().insert(path.to_owned(), reply);
    }

    /// Publishes metadata and keys for issuer `<origin><path>`.
    pub fn publish(&self, path: &str, keys: &[&TestKey]) {
        let metadata =
            json!({ "issuer": format!("{}{path}", self.origin), "jwks_uri": format!("{}{path}/jwks", self.origin) });
        self.answer(&format!("/.well-known/oauth-authorization-server{path}"), Reply::json(metadata.to_string()));
        self.answer(&format!("{path}/jwks"), Reply::json(jwks_of(keys)));
    }

    /// How often a path was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }

    pub fn asked_paths(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// A gateway with an endpoint `foreign` that takes the tokens of a scripted issuer named `okta`, and that issuer's key.
pub struct Foreign {
    pub room: Room,
    pub script: Script,
    pub key: TestKey,
}

impl Foreign {
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// The same with changes to the issuer's rules.
    pub async fn with(change: impl FnOnce(&mut Issuer)) -> Self {
        let script = Script::start().await;
        let key = TestKey::new("k1", "ES256");
        script.publish("", &[&key]);
        let mut deployment = deployment();
        deployment.endpoints.push(endpoint("foreign", Some("okta")));
        let mut issuer = issuer("okta", &script.origin);
        change(&mut issuer);
        deployment.issuers.insert(issuer.name.clone(), issuer);
        Self { room: Room::new(deployment), script, key }
    }

    /// The claims of a token that is accepted, with changes; `null` takes a claim away.
    pub fn claims(&self, changes: &Value) -> Value {
        let mut claims = json!({
            "iss": self.script.origin, "aud": "https://gw.example/mcp/foreign", "sub": "u1", "client_id": "vscode",
            "scope": "openid mux.read", "groups": ["staff-id", "others-id"], "iat": T0 / 1000, "exp": T0 / 1000 + 300,
            "jti": "j1", "sid": "s1", "department": "media", "email": "alice@corp.example",
        });
        let members = claims.as_object_mut().unwrap();
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                members.remove(name);
            } else {
                members.insert(name.clone(), value.clone());
            }
        }
        claims
    }

    /// Presents a token with these changes to its claims.
    pub async fn present(&self, changes: Value) -> Result<Arc<Caller>, AuthFailure> {
        self.show(&self.key.token(&self.claims(&changes)), T0).await
    }

    /// Presents a token.
    pub async fn show(&self, token: &str, now: ambit_model::ids::Millis) -> Result<Arc<Caller>, AuthFailure> {
        self.room.at("foreign", token, now).await
    }
}
