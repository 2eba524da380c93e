//! The figures of the process, in Prometheus' text format.

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use metrics_process::Collector;

/// Where everything is counted that this process counts with `metrics`.
#[derive(Clone)]
pub struct Metered {
    handle: PrometheusHandle,
    process: Collector,
}

/// Why nothing can be counted.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be set up")]
pub struct MetricsError(#[source] BuildError);

impl Metered {
    /// Counts everything from now on; once in a process.
    ///
    /// # Errors
    /// When something counts already.
    pub fn install() -> Result<Self, MetricsError> {
        let handle = PrometheusBuilder::new().install_recorder().map_err(MetricsError)?;
        let process = Collector::default();
        process.describe();
        Ok(Self { handle, process })
    }

    /// All figures.
    #[must_use]
    pub fn render(&self) -> String {
        self.process.collect();
        self.handle.run_upkeep();
        self.handle.render()
    }
}

impl std::fmt::Debug for Metered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metered").finish_non_exhaustive()
    }
}
