//! Framing in every line-end style and every way of cutting a stream.

use proptest::prelude::*;

use super::*;

fn read_in(chunks: &[&[u8]], cap: usize) -> Result<Vec<Received>, SseError> {
    let mut decoder = Decoder::new(cap);
    let mut events = Vec::new();
    for chunk in chunks {
        decoder.push(chunk, &mut events)?;
    }
    Ok(events)
}

fn data_of(text: &str) -> Vec<String> {
    read_in(&[text.as_bytes()], 1 << 20).unwrap().into_iter().map(|event| event.data).collect()
}

#[test]
fn fields_and_line_ends_follow_the_standard() {
    let rows: &[(&str, &[&str])] = &[
        ("data: a\n\n", &["a"]),
        ("data:a\r\n\r\n", &["a"]),
        ("data: a\r\r", &["a"]),
        ("data: a\r\ndata: b\rdata: c\n\n", &["a\nb\nc"]),
        ("\u{feff}data: a\n\n", &["a"]),
        ("\u{feff}\u{feff}data: a\n\n", &[]),
        (": comment\n\ndata: a\n\n: x\n", &["a"]),
        ("data:  two spaces\n\n", &[" two spaces"]),
        ("data\n\n", &[""]),
        ("data:\ndata:\n\n", &["\n"]),
        ("event: x\n\n", &[]),
        ("unknown: x\ndata: a\n\n", &["a"]),
        ("Data: a\n\n", &[]),
        ("data: unfinished\n", &[]),
        ("data: a\n\n\n\ndata: b\n\n", &["a", "b"]),
    ];
    for (text, expected) in rows {
        assert_eq!(data_of(text), *expected, "{text:?}");
    }
}

#[test]
fn ids_stay_and_names_do_not() {
    let stream = b"id: 1\nevent: e\nretry: 250\ndata: a\n\ndata: b\n\nid: x\0y\nid\ndata: c\nretry: 2x\n\n";
    let mut decoder = Decoder::new(100);
    let mut events = Vec::new();
    decoder.push(stream, &mut events).unwrap();
    let seen: Vec<_> = events.iter().map(|e| (e.id.as_deref(), e.name.as_deref(), e.data.as_str())).collect();
    assert_eq!(seen, [(Some("1"), Some("e"), "a"), (Some("1"), None, "b"), (Some(""), None, "c")]);
    assert_eq!((decoder.last_id(), decoder.retry_ms()), (Some(""), Some(250)));
}

#[test]
fn an_event_over_the_cap_is_an_error_and_many_small_ones_are_not() {
    let small = "data: 0123456789\n\n".repeat(1000);
    assert_eq!(read_in(&[small.as_bytes()], 32).unwrap().len(), 1000);
    let endless = "data: 0123456789\n".repeat(4);
    assert_eq!(read_in(&[endless.as_bytes()], 32), Err(SseError::TooLong(32)));
    let line = b"x".repeat(33);
    assert_eq!(read_in(&[&line], 32), Err(SseError::TooLong(32)));
    let dripping: Vec<&[u8]> = std::iter::repeat_n(&b"y"[..], 33).collect();
    assert_eq!(read_in(&dripping, 32), Err(SseError::TooLong(32)));
}

#[test]
fn bytes_that_are_not_text_are_an_error() {
    for bad in [&b"data: \xFF\n\n"[..], b"event: \xFF\n", b"id: \xC3\n"] {
        assert_eq!(read_in(&[bad], 100), Err(SseError::NotUtf8));
    }
}

#[test]
fn an_end_inside_an_event_is_noticed() {
    for (text, between) in [("data: a\n\n", true), ("data: a\n", false), ("data", false), ("", true), (":\n", true)] {
        let mut decoder = Decoder::new(100);
        decoder.push(text.as_bytes(), &mut Vec::new()).unwrap();
        assert_eq!(decoder.is_between_events(), between, "{text:?}");
    }
}

#[test]
fn a_stream_is_taken_up_after_the_last_complete_event() {
    let mut decoder = Decoder::new(100);
    let mut events = Vec::new();
    decoder.push(b"id: 1\ndata: a\n\nid: 2\n\nid: 3\ndata: lost\nda", &mut events).unwrap();
    assert_eq!(decoder.last_id(), Some("2"));
    decoder.start_over();
    decoder.push(b"\xEF\xBB\xBFdata: b\n\n", &mut events).unwrap();
    let seen: Vec<_> = events.iter().map(|e| (e.id.as_deref(), e.data.as_str())).collect();
    assert_eq!(seen, [(Some("1"), "a"), (Some("2"), "b")]);
}

#[test]
fn odd_ids_are_left_out_when_writing() {
    let event = Event { id: Some("a\nb"), name: Some("x\ry"), retry_ms: Some(3), data: "d" };
    assert_eq!(event.encode(), b"retry: 3\ndata: d\n\n");
}

/// Cuts `bytes` at the given places.
fn cut<'b>(bytes: &'b [u8], places: &[usize]) -> Vec<&'b [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place % (bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn what_is_written_is_read_however_it_is_cut(
        events in prop::collection::vec((prop::option::of("[a-z0-9]{1,5}"), "[a-zé\r\n: {}\"]{0,30}"), 1..6),
        places in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        let mut last = None;
        for (id, data) in &events {
            stream.extend(Event { id: id.as_deref(), data, ..Event::default() }.encode());
            stream.extend_from_slice(KEEP_ALIVE);
            last = id.clone().or(last);
            let data = data.replace("\r\n", "\n").replace('\r', "\n");
            expected.push(Received { id: last.clone(), name: None, data });
        }
        prop_assert_eq!(read_in(&cut(&stream, &places), 1000).unwrap(), expected);
    }

    #[test]
    fn cutting_never_changes_what_any_bytes_mean(
        bytes in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), Just(b'd'), any::<u8>()], 0..120),
        prefix in prop::sample::select(vec!["", "data:", "data: x\r", "id:1\n"]),
        places in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        let stream = [prefix.as_bytes(), &bytes].concat();
        prop_assert_eq!(read_in(&[&stream], 64), read_in(&cut(&stream, &places), 64));
    }
}
