//! Bodies whole, in pieces, and broken.

use super::*;

/// The bytes that were taken of a body that came in pieces of this size, or the detail of its
/// refusal.
fn read(framing: Framing, bytes: &[u8], piece: usize) -> Result<(usize, bool), String> {
    let mut reader = BodyReader::new(framing);
    let mut taken = 0;
    for piece in bytes.chunks(piece) {
        taken += reader.advance(piece).map_err(|problem| problem.detail().to_owned())?;
        if reader.is_done() {
            break;
        }
    }
    Ok((taken, reader.is_done()))
}

#[test]
fn length_is_taken_to_its_last_byte_and_no_further() {
    for piece in [1, 3, 100] {
        assert_eq!(read(Framing::Length(5), b"helloGET /", piece), Ok((5, true)));
        assert_eq!(read(Framing::Length(5), b"hell", piece), Ok((4, false)));
    }
    assert!(BodyReader::new(Framing::Length(0)).is_done());
}

#[test]
fn well_formed_chunks_are_taken_whatever_the_pieces() {
    let bodies = [
        "0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        "A\r\n0123456789\r\n00\r\n\r\n",
        "a\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n",
        "5;a\r\nhello\r\n0;b=c\r\n\r\n",
        "5;a=\"b c;\\\"\"\r\nhello\r\n0\r\n\r\n",
        "5;a=b;c=d\r\nhello\r\n0\r\nX-Checksum: abc\r\nX-Other:\r\n\r\n",
        "005\r\nhello\r\n0\r\n\r\n",
    ];
    for body in bodies {
        for piece in [1, 2, 3, 7, 1_000] {
            let followed = format!("{body}GET / HTTP/1.1\r\n");
            assert_eq!(read(Framing::Chunked, followed.as_bytes(), piece), Ok((body.len(), true)), "{body:?} {piece}");
            let cut = &body.as_bytes()[..body.len() - 1];
            assert_eq!(read(Framing::Chunked, cut, piece), Ok((cut.len(), false)), "{body:?} {piece}");
        }
    }
}

#[test]
fn malformed_chunk_is_refused_whatever_the_pieces() {
    let long_extension = format!("5;a={}\r\nhello\r\n0\r\n\r\n", "x".repeat(2_000));
    let long_trailer = format!("0\r\nX-A: {}\r\n\r\n", "x".repeat(9_000));
    let bodies = [
        "\r\nhello\r\n0\r\n\r\n",
        ";a\r\nhello\r\n",
        " 5\r\nhello\r\n",
        "5 \r\nhello\r\n",
        "5\t\r\nhello\r\n",
        "+5\r\nhello\r\n",
        "-5\r\nhello\r\n",
        "0x5\r\nhello\r\n",
        "1_0\r\n",
        "5h\r\nhello\r\n",
        "g\r\n",
        "10000000000000000\r\n",
        "FFFFFFFFFFFFFFFF0\r\nhello\r\n",
        "0000000000000005\r\nhello\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n",
        "5\r\rhello",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello!!\r\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5;\r\nhello\r\n",
        "5;;\r\nhello\r\n",
        "5;a=\r\nhello\r\n",
        "5;=b\r\nhello\r\n",
        "5;a b\r\nhello\r\n",
        "5; a\r\nhello\r\n",
        "5 ;a\r\nhello\r\n",
        "5;a[=x\r\nhello\r\n",
        "5;a\nhello\r\n",
        "5;a\rb\r\nhello\r\n",
        "5;a=\"b\r\nhello\r\n",
        "5;a=\"b\"c\r\nhello\r\n",
        "5;a\0\r\nhello\r\n",
        "5;a=\"\x07\"\r\nhello\r\n",
        &long_extension,
        "0\r\n\n",
        "0\r\nX-A: b\n\r\n",
        "0\r\nno colon\r\n\r\n",
        "0\r\n: b\r\n\r\n",
        "0\r\nX-A : b\r\n\r\n",
        "0\r\n X-A: b\r\n\r\n",
        "0\r\nX-A: b\r\n c\r\n\r\n",
        "0\r\nX-A: b\rc\r\n\r\n",
        "0\r\nX-A: b\0\r\n\r\n",
        "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\ntransfer-encoding: chunked\r\n\r\n",
        "0\r\nHost: a\r\n\r\n",
        "0\r\nAUTHORIZATION: a\r\n\r\n",
        "0\r\nX-Api-Key: a\r\n\r\n",
        &long_trailer,
    ];
    for body in bodies {
        for piece in [1, 2, 5, 100_000] {
            assert!(read(Framing::Chunked, body.as_bytes(), piece).is_err(), "{body:?} in pieces of {piece}");
        }
    }
}
