//! Loads against the simulator.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use headrace_engine::Request;
use headrace_load::{Load, Plan, Record, Run, Session};
use headrace_simulator::{Script, Simulator};
use headrace_wire::Dialect;

const LONG: Duration = Duration::from_secs(60);

fn simulator(script: &str) -> Simulator {
    Simulator::start(Script::from_json(script).unwrap()).unwrap()
}

fn plan(simulator: &Simulator, load: Load) -> Plan {
    let url = format!("{}/chat/completions", simulator.base_url());
    let body =
        Bytes::from_static(br#"{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true}"#);
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    let request = Request::new(url, headers, body, Dialect::OpenAiChat);
    Plan { requests: vec![request], load, duration: None, session: Session::default(), stamped: false }
}

fn finished(run: &Arc<Run>) -> Vec<Record> {
    assert!(run.wait(LONG), "{:?}", run.progress());
    let mut records = run.tally(|tally| tally.records.clone());
    records.sort_by_key(|record| record.index);
    records
}

#[test]
fn a_closed_load_sends_its_count_and_never_more_at_a_time() {
    let simulator = simulator(
        r#"{"turns": [{"text": ["a", "b", "c"]}], "pacing": {"mode": "steady", "interval_ms": 2}}"#,
    );
    let run = Run::start(plan(&simulator, Load::Closed { concurrency: 3, count: Some(10) })).unwrap();
    let records = finished(&run);
    assert_eq!(records.iter().map(|record| record.index).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    assert!(records.iter().all(|record| record.state == "complete" && record.chunks == 3));
    for record in &records {
        let open = records.iter().filter(|other| {
            other.opened_ns <= record.opened_ns && record.opened_ns < other.last_output_ns.unwrap()
        });
        assert!(open.count() <= 3);
        assert!(record.first_chunk_ns.unwrap() <= record.first_output_ns.unwrap());
        assert!(record.opened_ns <= record.first_chunk_ns.unwrap());
        assert!(record.last_output_ns.unwrap() <= record.ended_ns);
    }
    let gaps: u64 = run.tally(|tally| tally.gaps.steps()).iter().map(|(_, count)| count).sum();
    assert_eq!(gaps, 20);
}

#[test]
fn fewer_requests_than_places_end() {
    let simulator = simulator("{}");
    let run = Run::start(plan(&simulator, Load::Closed { concurrency: 8, count: Some(2) })).unwrap();
    assert_eq!(finished(&run).len(), 2);
}

#[test]
fn an_open_load_sends_each_request_at_its_time_and_never_before() {
    let simulator =
        simulator(r#"{"turns": [{"text": ["a"]}], "pacing": {"mode": "steady", "first_ms": 300}}"#);
    let dues_ns = vec![0, 1_000_000, 1_000_000, 30_000_000];
    let run = Run::start(plan(&simulator, Load::Open { dues_ns: dues_ns.clone() })).unwrap();
    let records = finished(&run);
    let began = run.tally(|tally| tally.began_ns);
    assert_eq!(records.iter().map(|record| record.due_ns.unwrap() - began).collect::<Vec<_>>(), dues_ns);
    assert!(records.iter().all(|record| record.opened_ns >= record.due_ns.unwrap()));
    // The last one did not wait for the answer to the first one.
    assert!(records[3].opened_ns < records[0].first_output_ns.unwrap());
}

#[test]
fn failures_are_records_too() {
    let simulator =
        simulator(r#"{"turns": [{"text": ["a", "b", "c"], "fault": {"kind": "end", "after": 1}}]}"#);
    let run = Run::start(plan(&simulator, Load::Closed { concurrency: 1, count: Some(2) })).unwrap();
    let records = finished(&run);
    assert!(
        records.iter().all(|record| record.state == "truncated" && record.message.is_some()),
        "{records:?}"
    );
    assert_eq!(run.progress().failed, 2);
    assert!(run.tally(|tally| tally.gaps.steps()).is_empty(), "gaps of a failed answer count for nothing");
}

#[test]
fn a_stop_closes_what_is_open() {
    let simulator =
        simulator(r#"{"turns": [{"text": ["a"]}], "pacing": {"mode": "steady", "first_ms": 60000}}"#);
    for load in
        [Load::Closed { concurrency: 4, count: None }, Load::Open { dues_ns: vec![0, 0, 0, 0, u64::MAX / 4] }]
    {
        let run = Run::start(plan(&simulator, load)).unwrap();
        while run.progress().sent < 4 {
            std::thread::yield_now();
        }
        run.stop();
        let records = finished(&run);
        assert!(records.iter().all(|record| record.state == "cancelled"), "{records:?}");
    }
}

#[test]
fn a_duration_ends_a_load_without_a_count() {
    let simulator = simulator(r#"{"turns": [{"text": ["a"]}]}"#);
    let closed = plan(&simulator, Load::Closed { concurrency: 2, count: None });
    let run = Run::start(Plan { duration: Some(Duration::from_millis(50)), ..closed }).unwrap();
    let records = finished(&run);
    assert!(!records.is_empty());
    let last = records.iter().map(|record| record.opened_ns).max().unwrap();
    let began = run.tally(|tally| tally.began_ns);
    assert!(records.iter().all(|record| record.state == "complete"), "what was sent is read to its end");
    assert!(last >= began);
}

#[test]
fn reasoning_comes_before_text_and_stamps_are_read() {
    let simulator = simulator(
        r#"{"turns": [{"reasoning": ["r"], "text": ["a", "b", "c"]}], "stamp": true, "pacing": {"mode": "steady", "interval_ms": 1}}"#,
    );
    let stamped = plan(&simulator, Load::Closed { concurrency: 1, count: Some(1) });
    let run = Run::start(Plan { stamped: true, ..stamped }).unwrap();
    let record = finished(&run).remove(0);
    assert_eq!(record.first_output_ns, record.first_reasoning_ns);
    assert!(record.first_text_ns > record.first_reasoning_ns);
    let deliveries: u64 = run.tally(|tally| tally.deliveries.steps()).iter().map(|(_, count)| count).sum();
    assert_eq!(deliveries, 3);
}

#[test]
fn a_gap_is_split_over_the_tokens_of_an_output() {
    let simulator = simulator(
        r#"{"turns": [{"text": ["a", "b", "c"], "usage": {"output_tokens": 30}}], "include_usage": "always", "pacing": {"mode": "steady", "interval_ms": 20}}"#,
    );
    let run = Run::start(plan(&simulator, Load::Closed { concurrency: 1, count: Some(1) })).unwrap();
    assert_eq!(finished(&run)[0].output_tokens, Some(30));
    let (gaps, split) = run.tally(|tally| (tally.gaps.steps(), tally.token_gaps.steps()));
    let [longest, ten] = [gaps.last().unwrap().0, split.last().unwrap().0 * 10];
    assert!(longest.abs_diff(ten) <= longest / 100, "three tokens a chunk: {gaps:?} {split:?}");
}

#[test]
fn a_conversation_goes_on_with_its_own_answers() {
    let simulator = simulator(
        r#"{"turns": [{"when": {"contains": "one"}, "text": "é \"quoted\""}, {"when": {"contains": "two"}, "text": "b"}]}"#,
    );
    let plan = plan(&simulator, Load::Closed { concurrency: 2, count: Some(6) });
    let body = |text: &'static str| Bytes::from_static(text.as_bytes());
    let first = Request {
        body: body(r#"{"model":"m","messages":[{"role":"user","content":"one"}],"stream":true}"#),
        ..plan.requests[0].clone()
    };
    let second = Request {
        body: body(
            r#"{"model":"m","messages":[{"role":"user","content":"one"},{"role":"assistant","content":"@@headrace:answer:0@@"},{"role":"user","content":"two"}],"stream":true}"#,
        ),
        ..plan.requests[0].clone()
    };
    let session = Session { turns: 2, think: Duration::from_millis(5) };
    let run = Run::start(Plan { requests: vec![first, second], session, ..plan }).unwrap();
    let records = finished(&run);
    assert_eq!(records.iter().map(|record| record.turn).collect::<Vec<_>>(), [0, 1, 0, 1, 0, 1]);
    assert!(records.iter().all(|record| record.state == "complete"), "{records:?}");
    for pair in records.chunks(2) {
        assert!(pair[1].opened_ns >= pair[0].ended_ns + 5_000_000);
    }
    let report = simulator.report();
    let told =
        report.requests.iter().filter(|request| request.body["messages"].as_array().unwrap().len() == 3);
    assert!(told.clone().count() == 3);
    for request in told {
        assert_eq!(request.body["messages"][1]["content"], "é \"quoted\"");
    }
}

#[test]
fn a_conversation_that_fails_is_followed_by_another() {
    let simulator = simulator(r#"{"turns": [{"text": "a", "fault": {"kind": "status", "status": 500}}]}"#);
    let failing = plan(&simulator, Load::Closed { concurrency: 1, count: Some(6) });
    let session = Session { turns: 3, think: Duration::ZERO };
    let run = Run::start(Plan { session, ..failing }).unwrap();
    let records = finished(&run);
    assert_eq!(records.iter().map(|record| record.index).collect::<Vec<_>>(), [0, 3]);
}
