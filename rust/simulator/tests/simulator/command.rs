//! The command `headrace-simulator`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

fn command(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_headrace-simulator"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The base URL, which is the first line of output.
fn base_url(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

fn get_models(base_url: &str) -> String {
    let address = base_url.strip_prefix("http://").unwrap().strip_suffix("/v1").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn it_serves_until_standard_input_closes() {
    let mut child = command(&["--until-stdin-closes"]);
    let url = base_url(&mut child);
    assert!(get_models(&url).starts_with("HTTP/1.1 200 OK"));
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn it_reads_its_script_from_standard_input_and_stops_on_a_signal() {
    let mut child = command(&["--script", "-", "--workers", "2"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(br#"{ "model": "from-stdin" }"#).unwrap();
    drop(stdin);
    let url = base_url(&mut child);
    assert!(get_models(&url).contains("from-stdin"));
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert!(child.wait().unwrap().success());
}

#[test]
fn an_invalid_script_is_an_error_with_the_field() {
    let mut child = command(&["--script", "-"]);
    child.stdin.take().unwrap().write_all(br#"{ "turns": [{ "txt": "" }] }"#).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(String::from_utf8(output.stderr).unwrap().contains("turns[0].txt"));
    let missing = command(&["--script", "/does/not/exist.json"]).wait_with_output().unwrap();
    assert!(String::from_utf8(missing.stderr).unwrap().contains("/does/not/exist.json"));
}
