use std::time::Duration;

use kernel::SensorKind;
use store::series::{Aggregate, SeriesId, Span};

use super::{Entry, Telemetry};
use crate::error::TelemetryError;

/// Which sensors are meant; what is left out chooses all.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Chosen {
    pub site: Option<String>,
    /// `site/asset`, or the asset's own name.
    pub asset: Option<String>,
    pub kind: Option<SensorKind>,
    pub measure: Option<String>,
}

impl Chosen {
    fn wants(&self, entry: &Entry) -> bool {
        let sensor = &entry.sensor;
        let asset = || sensor.key.asset();
        self.kind.is_none_or(|kind| kind == sensor.kind)
            && self.site.as_deref().is_none_or(|site| site == sensor.key.site())
            && self.measure.as_deref().is_none_or(|measure| measure == sensor.key.measure())
            && self.asset.as_deref().is_none_or(|name| {
                let asset = asset();
                name == asset.as_str()
                    || asset.as_str().split('/').nth(1).is_some_and(|own| own == name)
            })
    }
}

impl Telemetry {
    /// The readings of all chosen sensors together; how many sensors, and the buckets.
    pub(crate) async fn aggregate(
        &self,
        chosen: &Chosen,
        span: Span,
        width: Duration,
    ) -> Result<(usize, Vec<Aggregate>), TelemetryError> {
        self.ensure_loaded().await?;
        let ids: Vec<SeriesId> = self.registry.with_ids(|by_id| {
            let wanted = by_id.iter().flatten().filter(|entry| chosen.wants(entry));
            wanted.map(|entry| entry.id).collect()
        });
        let buckets = self.series.aggregate(&ids, span, width).await?;
        Ok((ids.len(), buckets))
    }
}
