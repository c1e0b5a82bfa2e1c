//! What tests and drills rely on when they mistreat a Redis server.

use std::{
    io::{self, BufRead as _, BufReader, Write as _},
    net::TcpStream,
};

use servers::{Redis, RedisOptions};

/// First line of the answer to a command.
fn ask(redis: &Redis, command: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", redis.port()))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer.trim_end().to_owned())
}

#[test]
fn a_server_forgets_when_it_is_flushed_or_killed() {
    let mut redis = Redis::start().unwrap();
    assert_eq!(ask(&redis, "SET a 1").unwrap(), "+OK");
    redis.flush().unwrap();
    assert_eq!(ask(&redis, "EXISTS a").unwrap(), ":0");

    assert_eq!(ask(&redis, "SET a 1").unwrap(), "+OK");
    let url = redis.url();
    redis.kill().unwrap();
    assert!(!redis.is_ready());
    redis.restart().unwrap();
    assert_eq!(redis.url(), url);
    assert_eq!(ask(&redis, "EXISTS a").unwrap(), ":0");
}

#[test]
fn a_paused_server_is_silent_until_it_is_resumed() {
    let redis = Redis::start().unwrap();
    assert_eq!(ask(&redis, "SET a 1").unwrap(), "+OK");
    redis.pause().unwrap();
    assert!(!redis.is_ready());
    redis.resume().unwrap();
    assert_eq!(ask(&redis, "EXISTS a").unwrap(), ":1");
}

#[test]
fn a_server_with_a_password_wants_it() {
    let redis = Redis::start_with(RedisOptions { password: Some("secret".into()), ..RedisOptions::default() }).unwrap();
    assert!(redis.is_ready());
    assert_eq!(redis.url(), format!("redis://:secret@127.0.0.1:{}/0", redis.port()));
    let answer = ask(&redis, "PING").unwrap();
    assert!(answer.starts_with("-NOAUTH"), "{answer}");
    redis.flush().unwrap();
}
