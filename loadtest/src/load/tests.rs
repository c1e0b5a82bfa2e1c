use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{Failures, Load, LoadError, LoadResult, Pace, Request, Stages};
use crate::upstream;

const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The way in which a server of a test ends a connection.
#[derive(Clone, Copy)]
enum End {
    /// In order (FIN).
    Close,
    /// By a reset (RST).
    Reset,
}

/// A server that answers every request with `answer` and then ends the connection.
async fn server(answer: &'static [u8], end: End) -> SocketAddr {
    let listener = TcpListener::bind(LOCAL).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer_once(stream, answer, end));
        }
    });
    address
}

async fn answer_once(mut stream: TcpStream, answer: &'static [u8], end: End) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    stream.write_all(answer).await.unwrap();
    if matches!(end, End::Reset) {
        // A linger of zero makes the close a reset.
        stream.set_zero_linger().unwrap();
    }
}

async fn send_to(target: SocketAddr, count: u64) -> LoadResult {
    let load = Load {
        connections: 3,
        max_requests: Some(count),
        duration: Duration::from_mins(10),
        ..Load::new(target, vec![Request::get("key", "/")])
    };
    load.run().await.unwrap()
}

#[tokio::test]
async fn answers_are_counted_by_status_and_label() {
    let upstream = upstream::spawn(LOCAL).await.unwrap();
    let requests =
        vec![Request::get("a", "/status/200"), Request::get("b", "/status/404"), Request::get("a", "/status/204")];
    for pace in [Pace::Closed, Pace::Open { per_second: 5_000 }] {
        let before = upstream.accepted().accepted;
        let load = Load {
            pace,
            connections: 5,
            max_requests: Some(300),
            duration: Duration::from_mins(10),
            ..Load::new(upstream.address(), requests.clone())
        };
        let result = load.run().await.unwrap();
        assert_eq!((result.requests, result.received, result.unsent), (300, 300, 0));
        assert_eq!(result.by_status.clone().into_iter().collect::<Vec<_>>(), [(200, 100), (204, 100), (404, 100)]);
        assert_eq!((result.received_of("a", 200), result.received_of("a", 204)), (100, 100));
        assert_eq!((result.received_of("b", 404), result.received_of("b", 200)), (100, 0));
        assert_eq!(result.failures, Failures::default());
        assert_eq!(upstream.accepted().accepted - before, 300);
        let latency = result.latency;
        assert!(latency.p50_us > 0.0 && latency.p50_us <= latency.p99_us && latency.p99_us <= latency.max_us);
    }
}

#[tokio::test]
async fn bodies_of_every_framing_are_read_to_their_end() {
    let upstream = upstream::spawn(LOCAL).await.unwrap();
    let body = vec![b'x'; 300_000];
    let sized = Request { method: "POST".into(), body, ..Request::get("sized", "/echo") };
    let load = Load { max_requests: Some(20), connections: 2, ..Load::new(upstream.address(), vec![sized]) };
    assert_eq!(load.run().await.unwrap().received_of("sized", 200), 20);

    for answer in [
        &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10;x=y\r\n0123456789abcdef\r\n0\r\nT: t\r\n\r\n"[..],
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ] {
        let text = String::from_utf8_lossy(answer);
        // One request per connection: an answer that allows for more leaves the next to an ended
        // connection.
        let load = Load { max_requests: Some(1), ..Load::new(server(answer, End::Close).await, vec![Request::get("k", "/")]) };
        assert_eq!(load.run().await.unwrap().received_of("k", 200), 1, "{text}");
    }
}

#[tokio::test]
async fn truncated_answer_or_reset_counts_as_failure() {
    for (answer, end) in [
        (&b""[..], End::Close),
        (b"", End::Reset),
        (b"HTTP/1.1 200 OK\r\nContent-Le", End::Close),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123456789", End::Close),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123456789", End::Reset),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", End::Close),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", End::Close),
        (b"HTTP/1.1 100 Continue\r\n\r\n", End::Close),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", End::Reset),
    ] {
        let result = send_to(server(answer, end).await, 12).await;
        let text = String::from_utf8_lossy(answer);
        assert_eq!((result.requests, result.received), (12, 0), "{text}");
        assert_eq!(result.failures, Failures { closed: 12, ..Failures::default() }, "{text}");
        assert!(result.by_status.is_empty());
    }
}

#[tokio::test]
async fn answer_that_is_not_http_counts_as_failure() {
    for answer in [
        &b"SSH-2.0-OpenSSH\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
    ] {
        let result = send_to(server(answer, End::Close).await, 6).await;
        let text = String::from_utf8_lossy(answer);
        assert_eq!(result.received, 0, "{text}");
        assert_eq!(result.failures, Failures { malformed: 6, ..Failures::default() }, "{text}");
    }
}

#[tokio::test]
async fn refused_connection_and_timeout_are_counted_apart() {
    let down = TcpListener::bind(LOCAL).await.unwrap().local_addr().unwrap();
    assert_eq!(send_to(down, 5).await.failures, Failures { connect: 5, ..Failures::default() });

    let silent = TcpListener::bind(LOCAL).await.unwrap();
    let load = Load {
        max_requests: Some(4),
        timeout: Duration::from_millis(50),
        ..Load::new(silent.local_addr().unwrap(), vec![Request::get("k", "/")])
    };
    let result = load.run().await.unwrap();
    assert_eq!((result.requests, result.received), (4, 0));
    assert_eq!(result.failures, Failures { timeout: 4, ..Failures::default() });
}

#[tokio::test]
async fn stall_shows_in_the_latency_of_every_request_due_meanwhile() {
    let upstream = upstream::spawn(LOCAL).await.unwrap();
    let load = Load {
        pace: Pace::Open { per_second: 100 },
        connections: 1,
        max_requests: Some(20),
        duration: Duration::from_mins(10),
        ..Load::new(upstream.address(), vec![Request::get("k", "/slow/100")])
    };
    let result = load.run().await.unwrap();
    assert_eq!(result.received, 20);
    // Twenty answers of at least 100 ms one after the other, due within 200 ms: the last waited for
    // nineteen others.
    assert!(result.latency.max_us >= 1_700_000.0, "{:?}", result.latency);
    assert!(result.latency.p50_us >= 800_000.0, "{:?}", result.latency);
}

#[tokio::test]
async fn due_requests_without_a_free_connection_count_as_unsent() {
    let silent = TcpListener::bind(LOCAL).await.unwrap();
    let load = Load {
        pace: Pace::Open { per_second: 1_000 },
        connections: 1,
        max_requests: Some(500),
        duration: Duration::from_mins(10),
        timeout: Duration::from_millis(100),
        ..Load::new(silent.local_addr().unwrap(), vec![Request::get("k", "/")])
    };
    let result = load.run().await.unwrap();
    assert_eq!(result.requests + result.unsent, 500);
    assert_eq!(result.failures.timeout, result.requests);
    assert!(result.unsent > 0);
}

#[tokio::test]
async fn ended_stage_stops_the_run_with_nothing_unsent() {
    let upstream = upstream::spawn(LOCAL).await.unwrap();
    for pace in [Pace::Open { per_second: 2_000 }, Pace::Closed] {
        let before = upstream.accepted().accepted;
        let stages = Stages::default();
        let load = Load {
            pace,
            duration: Duration::from_mins(10),
            stages: stages.clone(),
            ..Load::new(upstream.address(), vec![Request::get("k", "/")])
        };
        let running = tokio::spawn(async move { load.run().await.unwrap() });
        for accepted in [50, 100, 150] {
            while upstream.accepted().accepted - before < accepted {
                tokio::task::yield_now().await;
            }
            if accepted < 150 { stages.next() } else { stages.end() }
        }
        let result = running.await.unwrap();
        assert_eq!((result.received, result.unsent), (result.requests, 0));
        assert_eq!(result.stages.len(), 3);
        assert!(result.stages.iter().all(|stage| stage.received > 0 && stage.latency.p99_us <= stage.latency.max_us));
        assert_eq!(result.stages.iter().map(|stage| stage.received).sum::<u64>(), result.received);
        let longest = result.stages.iter().map(|stage| stage.latency.max_us).fold(0.0, f64::max);
        assert!((result.latency.max_us - longest).abs() < f64::EPSILON);
    }
}

#[tokio::test]
async fn load_on_other_machines_or_out_of_range_is_refused() {
    let load = |target: &str| Load::new(target.parse().unwrap(), vec![Request::get("k", "/")]);
    for elsewhere in ["192.0.2.1:80", "0.0.0.0:80", "[2001:db8::1]:80"] {
        assert!(matches!(load(elsewhere).run().await, Err(LoadError::NotLoopback(_))), "{elsewhere}");
    }
    let here = load("127.0.0.1:9");
    for wrong in [
        Load { connections: 0, ..here.clone() },
        Load { connections: 1_000_000, ..here.clone() },
        Load { requests: Vec::new(), ..here.clone() },
        Load { duration: Duration::ZERO, ..here.clone() },
        Load { duration: Duration::MAX, ..here.clone() },
        Load { timeout: Duration::MAX, ..here.clone() },
        Load { pace: Pace::Open { per_second: 0 }, ..here.clone() },
    ] {
        assert!(matches!(wrong.run().await, Err(LoadError::OutOfRange { .. })));
    }
    for (path, header) in [("/a b", "x"), ("/a\r\nX: y", "x"), ("", "x"), ("/", "x\r\nY: z")] {
        let wrong = Load { requests: vec![Request::get("k", path).header("X", header)], ..here.clone() };
        assert!(matches!(wrong.run().await, Err(LoadError::Request(_))), "{path:?} {header:?}");
    }
}
