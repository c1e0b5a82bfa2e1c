//! The paths that frameworks and servers make of the one that they are sent, by their documentation
//! and their source: what their routing compares.

/// A server and its readings of a path, as sent.
pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) readings: fn(&str) -> Vec<String>,
}

/// | server | decodes | `%2F` | `//` | dots | `;` | `\` | case |
/// |---|---|---|---|---|---|---|---|
/// | Express | no | kept | kept | kept | kept | kept | folded |
/// | Spring, ant patterns | all, behind `;` | slash | merged | kept | cut | kept | kept |
/// | Spring, path patterns | by segment | kept | kept | kept | cut | kept | kept |
/// | Django | all | slash | kept | kept | kept | kept | kept |
/// | Flask | all | slash | merged | kept | kept | kept | kept |
/// | ASP.NET Core on IIS | all but `%2F` | kept | merged | resolved | kept | slash | folded |
/// | nginx | all | slash | merged | resolved | kept | kept | kept |
/// | nginx on a file system without case | all | slash | merged | resolved | kept | slash | folded |
/// | Go's `ServeMux` | all | slash | merged | resolved | kept | kept | kept |
/// | Go's `ServeMux` since 1.22 | by segment | kept | merged | resolved | kept | kept | kept |
/// | Tomcat | all, behind `;` | slash | merged | resolved | cut | slash | kept |
/// | a proxy before any of them | twice | slash | merged | resolved | cut | slash | folded |
pub(super) const SERVERS: &[Server] = &[
    Server { name: "Express", readings: |path| vec![path.to_ascii_lowercase()] },
    Server { name: "Spring, ant patterns", readings: |path| vec![merged(&decoded(&without_parameters(path)))] },
    Server { name: "Spring, path patterns", readings: |path| vec![by_segment(&without_parameters(path))] },
    Server { name: "Django", readings: |path| vec![decoded(path)] },
    Server { name: "Flask", readings: |path| vec![merged(&decoded(path))] },
    Server {
        name: "ASP.NET Core on IIS",
        readings: |path| {
            let path = resolved(&by_segment(path).replace('\\', "/"));
            vec![path.to_lowercase(), merged(&path).to_lowercase()]
        },
    },
    Server { name: "nginx", readings: |path| vec![resolved(&merged(&decoded(path)))] },
    Server {
        name: "nginx on a file system without case",
        readings: |path| vec![resolved(&merged(&decoded(path).replace('\\', "/"))).to_lowercase()],
    },
    Server { name: "Go's ServeMux", readings: |path| vec![resolved(&merged(&decoded(path)))] },
    Server { name: "Go's ServeMux since 1.22", readings: |path| vec![resolved(&merged(&by_segment(path)))] },
    Server {
        name: "Tomcat",
        readings: |path| vec![resolved(&merged(&decoded(&without_parameters(path)).replace('\\', "/")))],
    },
    Server {
        name: "a proxy before another server",
        readings: |path| {
            let twice = decoded(&without_parameters(&decoded(path))).replace('\\', "/");
            let path = twice.split(['?', '#']).next().unwrap_or_default();
            vec![resolved(&merged(&without_parameters(path))).to_lowercase()]
        },
    },
];

/// Decoded once; an escape that is none stands as it is, and bytes that are no UTF-8 as letters that
/// no route has.
fn decoded(path: &str) -> String {
    let bytes = path.as_bytes();
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let digits = path.get(at + 1..at + 3).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if bytes[at] == b'%' => {
                decoded.push(byte);
                at += 3;
            }
            _ => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The same, but a slash that was encoded stays so.
fn by_segment(path: &str) -> String {
    path.split('/').map(|segment| decoded(segment).replace('/', "%2F")).collect::<Vec<_>>().join("/")
}

fn without_parameters(path: &str) -> String {
    path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect::<Vec<_>>().join("/")
}

fn merged(path: &str) -> String {
    let mut merged = String::with_capacity(path.len());
    for letter in path.chars() {
        if letter != '/' || !merged.ends_with('/') {
            merged.push(letter);
        }
    }
    merged
}

/// Without `.` and `..` segments.
fn resolved(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(other),
        }
    }
    format!("/{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_fold_paths_as_their_documentation_says() {
        let read = |name: &str, path: &str| {
            let server = SERVERS.iter().find(|server| server.name == name).unwrap();
            (server.readings)(path)
        };
        let cases = [
            ("Express", "/V1/Admin", "/v1/admin"),
            ("Express", "/v1/%61dmin", "/v1/%61dmin"),
            ("Spring, ant patterns", "/v1;a=b//%61dmin;c", "/v1/admin"),
            ("Spring, path patterns", "/v1;a/ad%6Din%2Fx", "/v1/admin%2Fx"),
            ("Django", "/v1%2Fadmin", "/v1/admin"),
            ("Flask", "/v1//admin", "/v1/admin"),
            ("ASP.NET Core on IIS", "/V1\\x/..\\ADMIN", "/v1/admin"),
            ("nginx", "/v1//x/../%61dmin/./", "/v1/admin/"),
            ("nginx on a file system without case", "/V1%5cAdmin", "/v1/admin"),
            ("Go's ServeMux", "/v1/./x//..%2fadmin", "/v1/admin"),
            ("Go's ServeMux since 1.22", "/v1%2Fadmin", "/v1%2Fadmin"),
            ("Tomcat", "/v1/x/..;a=b/admin", "/v1/admin"),
            ("a proxy before another server", "/v1/%2561dmin;x", "/v1/admin"),
        ];
        for (name, path, folded) in cases {
            assert!(read(name, path).contains(&folded.to_owned()), "{name}: {path}: {:?}", read(name, path));
        }
    }
}
