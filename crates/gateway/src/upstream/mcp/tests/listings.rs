//! A listing is whole or not there.

use super::*;
use crate::upstream::mcp::FailureKind;
use crate::upstream::mcp::list::Relisted;
use crate::upstream::mcp::testing::{Heard, Reply};

/// Answers each page by its cursor.
fn paged(scene: &Scene, page: impl Fn(Option<&str>, &Heard) -> Option<Reply> + Send + Sync + 'static) {
    scene.fake.instead(move |heard| {
        if heard.method() != "tools/list" {
            return None;
        }
        let message = heard.json();
        page(message["params"]["cursor"].as_str(), heard)
    });
}

fn page_of(heard: &Heard, names: &[&str], next: Option<&str>) -> Reply {
    let tools: Vec<Value> = names.iter().map(|name| tool(name)).collect();
    let mut result = json!({"tools": tools});
    if let Some(next) = next {
        result["nextCursor"] = json!(next);
    }
    Reply::result(heard, &result.to_string())
}

async fn names(scene: &Scene) -> Result<Vec<String>, UpstreamFailure> {
    let listing = scene.upstreams.list(&scene.server, None, in_ms(5_000)).await?;
    Ok(listing.tools.into_iter().map(|tool| tool.name).collect())
}

#[tokio::test]
async fn all_pages_are_read_in_both_eras() {
    for kind in [Kind::Modern, Kind::Legacy] {
        let scene = Scene::of(kind).await;
        paged(&scene, |cursor, heard| {
            Some(match cursor {
                None => page_of(heard, &["a", "b"], Some("two\"")),
                Some("two\"") => page_of(heard, &["c"], Some("three")),
                Some("three") => page_of(heard, &["d"], None),
                Some(other) => panic!("{other}"),
            })
        });
        assert_eq!(names(&scene).await.unwrap(), ["a", "b", "c", "d"]);
    }
}

#[tokio::test]
async fn a_listing_that_never_ends_or_fails_midway_is_none() {
    let scene = Scene::of(Kind::Modern).await;
    paged(&scene, |cursor, heard| Some(page_of(heard, &["a"], Some(if cursor == Some("x") { "y" } else { "x" }))));
    let failure = names(&scene).await.unwrap_err();
    assert!(failure.to_string().contains("lead back"), "{failure}");
    let counter = std::sync::atomic::AtomicUsize::new(0);
    paged(&scene, move |_, heard| {
        let next = counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string();
        Some(page_of(heard, &[], Some(&next)))
    });
    let failure = names(&scene).await.unwrap_err();
    assert!(failure.to_string().contains("more than 1000 pages"), "{failure}");
    paged(&scene, |cursor, heard| match cursor {
        None => Some(page_of(heard, &["a"], Some("x"))),
        Some(_) => Some(Reply::error(heard, 200, -32603, "later")),
    });
    assert_eq!(names(&scene).await.unwrap_err().kind(), FailureKind::Remote);
    paged(&scene, |_, heard| Some(Reply::result(heard, r#"{"resultType":"input_required","tools":[]}"#)));
    assert_eq!(names(&scene).await.unwrap_err().kind(), FailureKind::Unusable);
    paged(&scene, |_, _| Some(Reply::Hang));
    let failure = scene.upstreams.list(&scene.server, None, in_ms(200)).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Timeout);
}

#[tokio::test]
async fn a_listing_is_bounded_in_tools_and_bytes() {
    let mut scene = Scene::of(Kind::Modern).await;
    scene.server.limits.max_tools = 20;
    let pages = |scene: &Scene, last: usize| {
        paged(scene, move |cursor, heard| {
            let at: usize = cursor.map_or(0, |cursor| cursor.parse().unwrap());
            let names: Vec<String> = (0..10).map(|index| format!("t{at}-{index}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let next = (at < last).then(|| (at + 1).to_string());
            Some(page_of(heard, &names, next.as_deref()))
        });
    };
    pages(&scene, 1);
    assert_eq!(names(&scene).await.unwrap().len(), 20);
    pages(&scene, 2);
    let failure = names(&scene).await.unwrap_err();
    assert!(failure.to_string().contains("more tools than the `max_tools`"), "{failure}");
    // A list without end is not read to its end.
    scene.server.limits.max_listing_bytes = 4_000;
    pages(&scene, usize::MAX);
    let heard = scene.fake.count("tools/list");
    let failure = names(&scene).await.unwrap_err();
    assert!(failure.to_string().contains("larger than the `max_listing`"), "{failure}");
    assert!(scene.fake.count("tools/list") - heard < 10);
}

#[tokio::test]
async fn pages_that_say_the_same_are_not_looked_into() {
    let scene = Scene::of(Kind::Modern).await;
    // Cursors of which no two are the same, as some servers make them.
    let counter = std::sync::atomic::AtomicUsize::new(0);
    paged(&scene, move |cursor, heard| {
        let next = counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_string();
        Some(if cursor.is_none() { page_of(heard, &["a"], Some(&next)) } else { page_of(heard, &["b"], None) })
    });
    let again = async |known| scene.upstreams.list_again(&scene.server, None, in_ms(5_000), known).await;
    let Relisted::Other(listing, _) = again(None).await.unwrap() else { panic!("nothing was known") };
    let known = Some(listing.digest);
    scene.upstreams.suspect(&scene.server);
    assert!(matches!(again(known).await.unwrap(), Relisted::Same));
    assert!(!scene.upstreams.is_suspect(&scene.server), "it was a complete listing");
    // The same tools on other pages, one letter, one tool more, and an answer that is no list: none is taken for the same.
    paged(&scene, |_, heard| Some(page_of(heard, &["a", "b"], None)));
    assert!(matches!(again(known).await.unwrap(), Relisted::Other(..)));
    paged(&scene, |cursor, heard| Some(page_of(heard, &[cursor.unwrap_or("a")], cursor.is_none().then_some("c"))));
    assert!(matches!(again(known).await.unwrap(), Relisted::Other(..)));
    paged(&scene, |cursor, heard| {
        let result = json!({"resultType": "input_required", "tools": [tool(cursor.unwrap_or("a"))],
            "nextCursor": cursor.is_none().then_some("b")});
        Some(Reply::result(heard, &result.to_string()))
    });
    again(known).await.unwrap_err();
}

#[tokio::test]
async fn two_tools_of_one_name_are_both_left_out_and_the_rest_stay() {
    let scene = Scene::of(Kind::Modern).await;
    let hidden = json!({"name": "twin", "description": "deletes everything", "inputSchema": {"type": "object"}});
    scene.fake.set_tools(vec![tool("twin"), tool("single"), hidden, json!({"name": "broken"}), json!(7)]);
    let listing = scene.upstreams.list(&scene.server, None, in_ms(5_000)).await.unwrap();
    assert_eq!(listing.tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>(), ["single"]);
    let left_out: Vec<&str> = listing.left_out.iter().map(|one| one.place.as_str()).collect();
    assert_eq!(left_out, ["twin", "twin", "broken", "tool 5"]);
    assert!(listing.left_out[0].reason.contains("more than one tool of this name"));
}

#[tokio::test]
async fn an_expired_session_is_opened_anew_for_a_listing() {
    let scene = Scene::of(Kind::Legacy).await;
    assert_eq!(names(&scene).await.unwrap(), ["get_thing"]);
    scene.fake.restart(Kind::Legacy);
    assert_eq!(names(&scene).await.unwrap(), ["get_thing"]);
    scene.fake.restart(Kind::Modern);
    assert_eq!(names(&scene).await.unwrap(), ["get_thing"]);
    assert_eq!(scene.fake.count("initialize"), 3);
}

#[tokio::test]
async fn a_listing_clears_the_suspicion_that_it_answers() {
    let scene = Scene::of(Kind::Modern).await;
    names(&scene).await.unwrap();
    assert!(!scene.upstreams.is_suspect(&scene.server));
    scene.upstreams.suspect(&scene.server);
    assert!(scene.upstreams.is_suspect(&scene.server));
    scene.fake.instead(|heard| (heard.method() == "tools/list").then(|| Reply::error(heard, 200, -32603, "no")));
    names(&scene).await.unwrap_err();
    assert!(scene.upstreams.is_suspect(&scene.server));
    scene.fake.instead(|_| None);
    names(&scene).await.unwrap();
    assert!(!scene.upstreams.is_suspect(&scene.server));
}
