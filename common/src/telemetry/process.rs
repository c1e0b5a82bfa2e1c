//! Metrics of every program: its version, and the resources that its process takes.

use prometheus::{IntGauge, Opts, Registry, core::Collector, process_collector::ProcessCollector};

use crate::{store::SCHEMA_VERSION, time::zone_release};

/// Shows `tollgate_build_info` and `process_*` in `registry`. A registry that shows one of them
/// already, as the process-wide one does, is left as it is.
pub fn show_process(registry: &Registry, program: &str) -> prometheus::Result<()> {
    let build = Opts::new("tollgate_build_info", "1; the labels say which program this is")
        .const_label("program", program)
        .const_label("version", env!("CARGO_PKG_VERSION"))
        .const_label("schema", SCHEMA_VERSION.to_string())
        .const_label("time_zones", zone_release());
    let build = IntGauge::with_opts(build)?;
    build.set(1);
    register(registry, Box::new(build))?;
    register(registry, Box::new(ProcessCollector::for_self()))
}

/// A registry of its own that shows them.
pub fn process_registry(program: &str) -> prometheus::Result<Registry> {
    let registry = Registry::new();
    show_process(&registry, program)?;
    Ok(registry)
}

fn register(registry: &Registry, collector: Box<dyn Collector>) -> prometheus::Result<()> {
    match registry.register(collector) {
        Err(prometheus::Error::AlreadyReg) => Ok(()),
        registered => registered,
    }
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;

    #[test]
    fn registry_describes_program_and_process_once() {
        for registry in [&Registry::new(), prometheus::default_registry()] {
            for _ in 0..2 {
                show_process(registry, "gateway").unwrap();
            }
            let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
            let build: Vec<_> = text.lines().filter(|line| line.starts_with("tollgate_build_info{")).collect();
            assert_eq!(build.len(), 1, "{text}");
            for label in ["program=\"gateway\"", "version=\"", "schema=\"", "time_zones=\""] {
                assert!(build[0].contains(label), "{}", build[0]);
            }
            assert!(
                text.contains("\nprocess_resident_memory_bytes ") && text.contains("\nprocess_open_fds "),
                "{text}"
            );
        }
    }
}
