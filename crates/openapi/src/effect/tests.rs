use super::*;
use serde_json::json;

fn judge(method: &str, path: &str, id: &str, summary: &str, description: &str) -> Judged {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let operation_id = (!id.is_empty()).then_some(id);
    let found = classify(&Facts { method: &method, path, operation_id, summary, description, arguments: &[] });
    (found.effect, found.reason)
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
        ("POST", "/v1/charges", "PostCharges", "Creates a charge"),
        ("POST", "/v1/payment_intents/{id}/confirm", "PostPaymentIntentsIntentConfirm", "Confirm a PaymentIntent"),
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
        ("/databases/{id}/query", "query-database", "Query a database", "Returns the rows that match the filter."),
        ("/tokens/check", "check-token", "Get whether a token is valid", ""),
        ("/tokens/check", "check-token", "Check whether a token is valid", ""),
        ("/notes", "generate-notes", "Generate notes", "The notes are not saved anywhere."),
        ("/attestations/bulk-list", "list-attestations-bulk", "List attestations", ""),
        ("/deleted/search", "searchDeletedItems", "Search deleted items", ""),
        ("/markdown", "markdown/render", "Render a Markdown document", ""),
    ] {
        let (effect, reason) = judge("POST", path, id, summary, description);
        assert_eq!(effect, Effect::Read, "{path}: {reason}");
    }
    // A name that looks and a summary that does not is no reading.
    assert_ne!(judge("POST", "/a", "getOrCreateUser", "Gets or creates a user", "").0, Effect::Read);
    assert_ne!(judge("POST", "/a", "check-in", "Create a visit", "").0, Effect::Read);
}

#[test]
fn a_verb_that_goes_either_way_does_not_read_without_a_witness() {
    for (path, id, summary) in [
        ("/incidents/{id}/resolve", "", ""),
        ("/orders/{id}/return", "returnOrder", "Return an order"),
        ("/messages/{id}/read", "readMessage", "Read a message"),
        ("/tokens/check", "check-token", "Check a token"),
        ("/cart/check-out", "", ""),
        ("/models/evaluate", "evaluate", "Evaluate an expression"),
        ("/a", "scan-and-frobnicate", "Scan it"),
        ("/a", "frobnicate", "Frobnicates the list of things to get"),
        ("/search/frobnicate", "searchFrobnicate", "Frobnicate the search"),
        ("/devices/{id}/command", "sendCommand", "Send a command to a device"),
    ] {
        for method in ["POST", "PUT", "PATCH"] {
            let (effect, reason) = judge(method, path, id, summary, "");
            assert_eq!(effect, Effect::Destructive, "{method} {path} {id}: {reason}");
        }
    }
    // What to filter and how to page is such a witness; a filter may then ask for what is archived.
    let (list, flag) = (json!({"type": "array"}), json!({"type": "boolean"}));
    let asked = |arguments: &[(&str, &Value)]| {
        let (path, summary) = ("/data_sources/{id}/query", "Query a data source");
        let operation_id = Some("query-data-source");
        classify(&Facts { method: &Method::POST, path, operation_id, summary, description: "", arguments }).effect
    };
    assert_eq!(asked(&[("sorts", &list), ("archived", &flag)]), Effect::Read);
    assert_eq!(asked(&[("sql", &list), ("sorts", &list)]), Effect::Destructive);
    assert_eq!(asked(&[]), Effect::Destructive);
}

#[test]
fn a_sentence_that_nothing_is_kept_lowers_neither_method_nor_verb() {
    let text = "The text is not saved.";
    assert_eq!(judge("POST", "/sms", "send-sms", "Send a text", text).0, Effect::Write);
    assert_eq!(judge("PUT", "/users/{id}", "update-user", "Update a user", text).0, Effect::Write);
    assert_eq!(judge("POST", "/users/{id}", "deactivate-user", "Deactivate", text).0, Effect::Destructive);
    assert_eq!(judge("POST", "/a", "preview-and-send", "Preview and send", text).0, Effect::Write);
    assert_eq!(judge("POST", "/a", "frobnicate", "", text).0, Effect::Destructive);
    assert_eq!(judge("POST", "/a", "create-draft", "Send a draft", text).0, Effect::Write);
}

#[test]
fn a_looking_name_is_no_witness_against_what_is_said() {
    for (path, id, summary, description) in [
        ("/compute/start", "computeInstance", "Compute instance", "Starts an instance."),
        ("/mail/fetch", "fetchMail", "Fetch new mail", "Messages are removed from the server."),
        ("/samples/analyze", "analyzeSample", "Analyze a sample", "The sample is frobnicated."),
        ("/devices/inspect", "inspectDevice", "Inspect a device", "Puts the device into maintenance mode."),
        ("/users/identify", "identifyUser", "Identify a user", "Stores traits of the user."),
        ("/render", "renderVideo", "Render a video", "Queues a job, which is billed."),
        ("/listings", "listItem", "List an item for sale", ""),
        ("/auth", "getAccessToken", "Get an access token", ""),
        ("/count/increment", "countIncrement", "", ""),
        ("/dialogs/show", "showDialog", "Show a dialog on the device", ""),
        ("/guests/greet", "greetGuest", "", ""),
        ("/lint", "cluster_run_lint", "Run lint checks on a cluster", ""),
    ] {
        let (effect, reason) = judge("POST", path, id, summary, description);
        assert_ne!(effect, Effect::Read, "{path} {id}: {reason}");
    }
    for (name, description) in [
        ("get_payment", "Takes a payment from the customer"),
        ("get_lock", "Acquires the lock."),
        ("get_rid_of_user", ""),
        ("count_up", "Counts the counter up."),
        ("fetch", "Fetches a URL with any method and body"),
        ("fetch_origin", "Fetches from the remote repository."),
        ("download_file", "Downloads a file to the local disk, replacing it."),
        ("parse_config", "Parses the config, frobnicating it."),
        ("list_shares", "Lists shares on the exchange for trading."),
        ("simulate_click", "Simulates a click"),
        ("identify_user", "Identifies a user. Traits are stored."),
        ("show_banner", "Shows a banner to all visitors."),
    ] {
        let (effect, reason) = classify_named(name, description);
        assert_ne!(effect, Effect::Read, "{name}: {reason}");
    }
    for (name, description) in [
        ("describe_instance", "Describes an instance, including its tags."),
        ("list_pods", "Lists pods. Pods which are being terminated are shown too."),
        ("search_web", "Searches the web and returns results that are ranked by relevance."),
        ("fetch_rates", "Fetches exchange rates."),
        ("web_search", "Performs a web search"),
    ] {
        let (effect, reason) = classify_named(name, description);
        assert_eq!(effect, Effect::Read, "{name}: {reason}");
    }
}

#[test]
fn what_writes_over_everything_is_destructive() {
    for (method, path, id, summary) in [
        ("POST", "/db/{id}/restore", "restoreDatabase", "Restores the database to the snapshot"),
        ("PUT", "/files/{path}", "writeFile", "Write a file"),
        ("PUT", "/objects/{key}", "putObject", "Upload an object"),
        ("PUT", "/config", "updateConfig", "Update the whole configuration"),
        ("PUT", "/acl", "setAcl", "Set the access control list"),
        ("POST", "/orders/submit", "submitOrder", "Submit an order"),
        ("POST", "/processes/{pid}/signal", "signalProcess", "Send a signal to a process"),
    ] {
        let (effect, reason) = judge(method, path, id, summary, "");
        assert_eq!(effect, Effect::Destructive, "{path} {id}: {reason}");
    }
    let charged = judge("POST", "/orders", "createOrder", "Create an order", "The card is charged immediately.");
    assert_eq!(charged.0, Effect::Destructive, "{}", charged.1);
    for (path, id, summary) in [
        ("/projects/{id}/restore", "restore", "Restore deleted or archived project"),
        ("/lists/{id}", "updateList", "Update a card of the list"),
    ] {
        let (effect, reason) = judge("POST", path, id, summary, "");
        assert_eq!(effect, Effect::Write, "{path}: {reason}");
    }
}

#[test]
fn a_safe_method_does_not_vouch_for_a_verb_that_nobody_knows() {
    for (path, id, summary) in [
        ("/device/arm", "armDevice", ""),
        ("/device/arm", "armDevice", "Arm device"),
        ("/launch", "launchJob", ""),
        ("/relay", "energizeRelay", ""),
        ("/u", "unsub", ""),
        ("/reports/generate", "", ""),
        ("/mail", "fetchMail", "Fetches new mail. Fetched messages are removed."),
        ("/containers/{id}/ws", "containerSocket", "Attach to a container via a websocket"),
    ] {
        let (effect, reason) = judge("GET", path, id, summary, "");
        assert_ne!(effect, Effect::Read, "{path} {id}: {reason}");
    }
    for (path, id, summary) in [
        ("/pets/{id}/photos", "petPhotos", ""),
        ("/items/{id}/like-count", "likeCount", ""),
        ("/forecast/daily", "dailyForecast", ""),
        ("/launches/next", "nextLaunch", ""),
        ("/books/{id}", "bookById", ""),
        ("/health", "health", ""),
        ("/whoami", "whoami", ""),
        ("/users/me/quota", "", ""),
        ("/", "meta/root", "Index of the API"),
    ] {
        let (effect, reason) = judge("GET", path, id, summary, "");
        assert_eq!(effect, Effect::Read, "{path} {id}: {reason}");
    }
}

#[test]
fn a_safe_method_does_not_excuse_a_word_that_does_more() {
    for (path, id, summary) in [
        ("/server/restart", "restart-server", ""),
        ("/server/restart", "", ""),
        ("/server/restart", "getServerRestart", ""),
        ("/server/shutdown", "shutdown", ""),
        ("/exec", "execute-command", ""),
        ("/exec", "", ""),
        ("/jobs/{id}/run", "run-job", ""),
        ("/close-account", "close-account", ""),
        ("/pay", "pay-invoice", ""),
        ("/queue/next", "getAndDeleteMessage", "Get and delete the next message"),
        ("/queue/next", "nextMessage", "Get and delete the next message"),
        ("/a", "fetchAndReset", ""),
        ("/a", "search_replace", ""),
        ("/a", "GET_TerminateInstances", ""),
        ("/light/off", "lightOff", ""),
        ("/relay", "", "Frobnicate the relay"),
        ("/graphql", "graphqlGet", "GraphQL endpoint"),
        ("/pods/{name}/proxy", "connectGetPodProxy", ""),
    ] {
        let (effect, reason) = judge("GET", path, id, summary, "");
        assert_eq!(effect, Effect::Destructive, "{path} {id}: {reason}");
    }
    for (path, id, summary) in [
        ("/confirm-email", "confirmEmail", "Confirm an e-mail address"),
        ("/a", "poll_create", ""),
        ("/mail/send", "", ""),
        ("/magic", "magicLogin", "Log in with a link"),
        ("/backup", "backup", "Back up the database"),
        ("/a", "getAndSendReport", ""),
    ] {
        let (effect, reason) = judge("GET", path, id, summary, "");
        assert_eq!(effect, Effect::Write, "{path} {id}: {reason}");
    }
    let text = json!({"type": "string"});
    let facts = Facts {
        method: &Method::GET,
        path: "/tools",
        operation_id: Some("tools"),
        summary: "",
        description: "",
        arguments: &[("cmd", &text)],
    };
    assert_eq!(classify(&facts).effect, Effect::Destructive);
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

/// An owner is told where nothing but the method says that an operation reads.
#[test]
fn what_reads_by_its_method_alone_is_known() {
    fn facts<'a>(method: &'a Method, path: &'a str, operation_id: Option<&'a str>, summary: &'a str) -> Facts<'a> {
        Facts { method, path, operation_id, summary, description: "", arguments: &[] }
    }
    for (path, id, summary) in [
        ("/locks", None, ""),
        ("/locks", Some("locks"), ""),
        ("/weather", Some("dailyForecast"), ""),
        ("/widgets/{id}", Some("widgets"), "The widget"),
    ] {
        let found = classify(&facts(&Method::GET, path, id, summary));
        assert_eq!((found.effect, found.by_method_alone), (Effect::Read, true), "{path} {id:?}: {}", found.reason);
        assert!(found.reason.starts_with("only the method `GET` says that it looks"), "{}", found.reason);
    }
    for (method, path, id, summary) in [
        (Method::GET, "/locks", Some("listLocks"), ""),
        (Method::GET, "/locks", None, "Returns all locks"),
        (Method::POST, "/locks/search", Some("searchLocks"), "Search locks"),
        (Method::GET, "/users/{id}/delete", None, ""),
        (Method::DELETE, "/locks/{id}", None, ""),
        (Method::POST, "/locks", None, ""),
    ] {
        let found = classify(&facts(&method, path, id, summary));
        assert!(!found.by_method_alone, "{method} {path} {id:?}: {}", found.reason);
    }
}

#[test]
fn ordinary_changes_are_writes_and_what_says_nothing_is_destructive() {
    for (method, path, id, summary) in [
        ("POST", "/assets", "create-asset", "Create an asset"),
        ("POST", "/chat.postMessage", "chat_postMessage", "Sends a message to a channel."),
        ("PATCH", "/a/{b}", "patch-a", ""),
        ("PATCH", "/a/{b}", "", "Update parts of it"),
        ("PUT", "/a/{b}/star", "star", "Star it"),
        ("DELETE", "/a/{b}/star", "unstar", "Unstar it"),
        ("POST", "/runners/remove-token", "create-remove-token", "Create a remove token"),
    ] {
        let (effect, reason) = judge(method, path, id, summary, "");
        assert_eq!(effect, Effect::Write, "{method} {path} {id}: {reason}");
    }
    for (method, path, id) in [
        ("POST", "/frobnicate", "frobnicate"),
        ("PUT", "/a/{b}", ""),
        ("PATCH", "/a/{b}", ""),
        ("PATCH", "/a/{b}", "frobnicate-a"),
        ("POST", "/", "op1"),
    ] {
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
        let Classified { effect, reason, .. } = classify(&facts);
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
        ("evaluate", "Evaluate a Python expression", Effect::Destructive),
        ("browser_evaluate", "Evaluate JavaScript", Effect::Destructive),
        ("query", "Run a SQL query against the production database", Effect::Destructive),
        ("resolve_incident", "", Effect::Destructive),
        ("check_out", "Checks the cart out and pays", Effect::Destructive),
        ("check_in", "", Effect::Write),
        ("check_availability", "Checks whether a room is free", Effect::Read),
        ("read_file", "", Effect::Read),
        ("read_message", "Marks a message as read", Effect::Write),
        ("read_message", "", Effect::Destructive),
        ("read_message", "Retrieves the text of a message", Effect::Read),
        ("poll_create", "", Effect::Write),
        ("scan_and_fix", "", Effect::Write),
        ("scan_and_frobnicate", "", Effect::Destructive),
        ("search_replace", "", Effect::Destructive),
        ("summarize_and_send", "", Effect::Write),
        ("get_status", "Gets the status, then restarts the service", Effect::Destructive),
        ("get_page", "Gets a page and marks it as read", Effect::Write),
        ("update_branch", "Gets the newest state", Effect::Write),
        ("submit_payment", "", Effect::Destructive),
        ("create_payment_link", "", Effect::Write),
        ("get_release", "Gets a release", Effect::Read),
        ("list_charges", "Lists charges and refunds of a customer", Effect::Read),
        ("python_repl", "", Effect::Destructive),
        ("write_to_terminal", "", Effect::Destructive),
        ("send_keys", "", Effect::Destructive),
        ("compose_down", "", Effect::Destructive),
        ("change_password", "", Effect::Destructive),
        ("approve_expense", "", Effect::Destructive),
        ("validate_coupon", "Validates a coupon and redeems it", Effect::Destructive),
        ("get_file", "Use it with care. Returns a file. Deletes it afterwards.", Effect::Destructive),
        ("set_domains", "Sets the domains. The list fully replaces the old one.", Effect::Destructive),
        ("update_page", "Updates a page. The old text cannot be recovered.", Effect::Destructive),
    ] {
        let (found, reason) = classify_named(name, description);
        assert_eq!(found, effect, "{name}: {reason}");
        assert!(!reason.is_empty());
    }
}
