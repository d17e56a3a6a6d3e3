//! Figures of a host, as the parser of Prometheus' own Python client reads them.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::python::python;

/// Figures by name and labels.
#[derive(Debug)]
pub struct Figures(Vec<(String, serde_json::Map<String, serde_json::Value>, f64)>);

impl Figures {
    /// Parses the OpenMetrics text format.
    ///
    /// # Panics
    /// If the parser refuses the text.
    #[expect(clippy::unwrap_used, reason = "a test fails by it")]
    pub fn parse(text: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/metrics.py");
        let mut parser = Command::new(python("prometheus_client"))
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        parser.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = parser.wait_with_output().unwrap();
        assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
        Self(serde_json::from_slice(&output.stdout).unwrap())
    }

    /// The sum of all figures of this name that have these labels, whatever other labels they have.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |of: &serde_json::Map<String, serde_json::Value>| {
            labels.iter().all(|(label, value)| of.get(*label).is_some_and(|found| found == value))
        };
        // From 0.0: the sum of nothing is minus zero.
        self.0.iter().filter(|(found, of, _)| found == name && fits(of)).fold(0.0, |sum, (_, _, value)| sum + value)
    }

    /// How many series of this name there are.
    pub fn count(&self, name: &str) -> usize {
        self.0.iter().filter(|(found, _, _)| found == name).count()
    }

    /// Every label's value, each once.
    pub fn label_values(&self) -> std::collections::BTreeSet<String> {
        self.0.iter().flat_map(|(_, labels, _)| labels.values().map(|value| value.to_string())).collect()
    }
}
