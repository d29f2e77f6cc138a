use super::*;
use serde_json::json;

fn judge(method: &str, path: &str, id: &str, summary: &str, description: &str) -> Judged {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let operation_id = (!id.is_empty()).then_some(id);
    classify(&Facts { method: &method, path, operation_id, summary, description, arguments: &[] })
}

#[test]
fn loss_is_found_whatever_the_method() {
    for (method, path, id, summary) in [
        ("POST", "/users/{id}/delete", "", ""),
        ("POST", "/keys/{id}", "rotateKey", ""),
        ("POST", "/v1/charges/{charge}/refund", "PostChargesChargeRefund", ""),
        ("POST", "/chat.delete", "chat_delete", "Deletes a message."),
        ("PUT", "/streams/{id}/disable", "", "Disable a live stream"),
        ("PUT", "/a/{b}", "replaceCoreV1NamespacedPod", "replace the specified Pod"),
        ("PATCH", "/a", "bulk-remove", ""),
        ("POST", "/cache", "purgeCache", ""),
        ("POST", "/sessions/revoke-all", "", ""),
        ("POST", "/jobs", "createDeletion", ""),
        ("POST", "/a", "enable-or-disable-feature", ""),
        ("POST", "/droplets/{id}/actions", "dropletActions_post", ""),
        ("POST", "/graphql", "graphql", "Run a query"),
        ("POST", "/v1/refunds", "PostRefunds", "Create a refund"),
        ("GET", "/users/{id}/delete", "", ""),
        ("GET", "/x", "resetCounter", ""),
        ("DELETE", "/a/{b}", "", ""),
        ("DELETE", "/a/{b}", "unsubscribe", ""),
    ] {
        let (effect, reason) = judge(method, path, id, summary, "");
        assert_eq!(effect, Effect::Destructive, "{method} {path} {id}: {reason}");
    }
}

#[test]
fn a_post_that_only_looks_reads() {
    for (path, id, summary, description) in [
        ("/search", "", "", ""),
        ("/databases/{id}/query", "post-database-query", "Query a database", ""),
        ("/tokens/check", "check-token", "Check a token", ""),
        ("/notes", "generate-notes", "Generate notes", "The notes are not saved anywhere."),
        ("/attestations/bulk-list", "list-attestations-bulk", "List attestations", ""),
        ("/deleted/search", "searchDeletedItems", "Search deleted items", ""),
    ] {
        let (effect, reason) = judge("POST", path, id, summary, description);
        assert_eq!(effect, Effect::Read, "{path}: {reason}");
    }
    // A name that looks and a summary that does not is no reading.
    assert_ne!(judge("POST", "/a", "getOrCreateUser", "Gets or creates a user", "").0, Effect::Read);
    assert_ne!(judge("POST", "/a", "check-in", "Create a visit", "").0, Effect::Read);
}

#[test]
fn a_safe_method_reads_nouns_that_are_also_verbs() {
    for (path, id, summary) in [
        ("/archive/{id}", "archive", "Returns the archive"),
        ("/block/latest", "blockLatest", "Get the latest block"),
        ("/transfers/{id}", "transfersGet", ""),
        ("/pulls/{id}/merge", "pulls/check-if-merged", "Check if a pull request has been merged"),
        ("/locks", "", ""),
    ] {
        let (effect, reason) = judge("GET", path, id, summary, "");
        assert_eq!(effect, Effect::Read, "{path}: {reason}");
    }
}

#[test]
fn ordinary_changes_are_writes_and_what_says_nothing_is_destructive() {
    for (method, path, id, summary) in [
        ("POST", "/assets", "create-asset", "Create an asset"),
        ("POST", "/v1/charges", "PostCharges", "Creates a charge"),
        ("POST", "/chat.postMessage", "chat_postMessage", "Sends a message to a channel."),
        ("PATCH", "/a/{b}", "", ""),
        ("PUT", "/a/{b}/star", "star", "Star it"),
        ("DELETE", "/a/{b}/star", "unstar", "Unstar it"),
        ("POST", "/runners/remove-token", "create-remove-token", "Create a remove token"),
    ] {
        let (effect, reason) = judge(method, path, id, summary, "");
        assert_eq!(effect, Effect::Write, "{method} {path} {id}: {reason}");
    }
    for (method, path, id) in [("POST", "/frobnicate", "frobnicate"), ("PUT", "/a/{b}", ""), ("POST", "/", "op1")] {
        let (effect, reason) = judge(method, path, id, "", "");
        assert_eq!(effect, Effect::Destructive, "{method} {path}");
        assert!(reason.contains("unclear"), "{reason}");
    }
}

#[test]
fn descriptions_and_arguments_raise() {
    let text = "Sets the labels. This operation will replace all existing labels.";
    assert_eq!(judge("PUT", "/labels", "set-labels", "Set labels", text).0, Effect::Destructive);
    assert_eq!(judge("POST", "/a", "create-a", "Create", "This cannot be undone.").0, Effect::Destructive);
    let flag = json!({"type": "boolean"});
    let choice = json!({"enum": ["add", "revoke"]});
    let list = json!({"type": "array"});
    for (method, name, schema) in [
        ("PATCH", "archived", &flag),
        ("POST", "action", &choice),
        ("PUT", "ids", &list),
        ("PATCH", "idsToRemove", &list),
    ] {
        let facts = Facts {
            method: &Method::from_bytes(method.as_bytes()).unwrap(),
            path: "/things/{id}/members",
            operation_id: Some("update-things"),
            summary: "Update things",
            description: "",
            arguments: &[(name, schema)],
        };
        let (effect, reason) = classify(&facts);
        assert_eq!(effect, Effect::Destructive, "{name}: {reason}");
    }
}

#[test]
fn tools_known_by_name_only() {
    for (name, description, effect) in [
        ("search", "Searches the docs", Effect::Read),
        ("get_weather", "", Effect::Read),
        ("listDeletedFiles", "Lists what is in the bin", Effect::Read),
        ("weather", "Returns the weather of a city.", Effect::Read),
        ("create_issue", "Creates an issue", Effect::Write),
        ("get_or_create", "", Effect::Write),
        ("unpin", "", Effect::Write),
        ("delete_repo", "", Effect::Destructive),
        ("fileDelete", "", Effect::Destructive),
        ("get_and_remove", "", Effect::Destructive),
        ("query", "Runs SQL and can delete rows", Effect::Destructive),
        ("execute_sql", "Runs a read-only query", Effect::Destructive),
        ("run_command", "", Effect::Destructive),
        ("evaluate_script", "Evaluates a function in the page", Effect::Destructive),
        ("search_code", "Searches code", Effect::Read),
        ("write_file", "Writes a file. Will overwrite existing content.", Effect::Destructive),
        ("frobnicate", "", Effect::Destructive),
        ("", "", Effect::Destructive),
        ("update_page", "Updates a page. The old text cannot be recovered.", Effect::Destructive),
    ] {
        let (found, reason) = classify_named(name, description);
        assert_eq!(found, effect, "{name}: {reason}");
        assert!(!reason.is_empty());
    }
}
