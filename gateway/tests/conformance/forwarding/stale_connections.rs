//! A connection that the upstream closes, wherever it says so, carries no other request (RFC 9112,
//! section 9.6).

use crate::support::{
    Fixture,
    raw::{RawUpstream, Wire},
};

#[tokio::test(flavor = "multi_thread")]
async fn connection_that_the_upstream_closes_is_not_used_again_wherever_it_says_so() {
    let cases = [
        ("", true),
        ("Connection: keep-alive\r\n", true),
        ("Connection: close\r\n", false),
        ("Connection: keep-alive\r\nConnection: close\r\n", false),
        ("Connection: x-a\r\nConnection: x-b, CLOSE\r\n", false),
        ("Connection: close, keep-alive\r\n", false),
    ];
    for (lines, stays) in cases {
        let (fixture, upstream) = (Fixture::new().await, RawUpstream::start().await);
        let routes = format!(
            "upstreams: {{ raw: {{ servers: ['{}'] }} }}\n\
             routes: [{{ name: raw, path_prefix: /, upstream: raw, public: true }}]\n",
            upstream.address
        );
        let gateway = fixture.gateway_with(&routes).await;
        let mut client = Wire::connect(gateway.address).await;
        // The upstream itself never closes, so that only the gateway decides.
        let (mut kept, mut is_used_again) = (Vec::new(), false);
        // A connection can be kept a moment after its answer has reached the client: one request
        // too late for the next.
        let rounds = if stays { 100 } else { 3 };
        for _ in 0..rounds {
            client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await;
            let mut server = tokio::select! {
                used = first_with(&mut kept, "hi") => {
                    is_used_again = true;
                    used
                }
                (mut new, _) = upstream.request() => {
                    new.read_until("hi").await;
                    new
                }
            };
            server.send(format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 4\r\n\r\nfour")).await;
            let answer = client.read_until("four").await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{lines:?}: {answer}");
            kept.push(server);
            if is_used_again {
                break;
            }
        }
        assert_eq!(is_used_again, stays, "{lines:?}");
    }
}

/// Takes out the first of some connections on which `part` comes, and reads up to it. Waits for
/// ever if there is none; one that is closed is passed over.
async fn first_with(connections: &mut Vec<Wire>, part: &str) -> Wire {
    let each = connections.iter_mut().enumerate().map(|(index, wire)| {
        Box::pin(async move {
            if wire.has_until(part).await {
                wire.read_until(part).await;
                return index;
            }
            std::future::pending().await
        })
    });
    let each: Vec<_> = each.collect();
    if each.is_empty() {
        return std::future::pending().await;
    }
    let index = futures_util::future::select_all(each).await.0;
    connections.swap_remove(index)
}
