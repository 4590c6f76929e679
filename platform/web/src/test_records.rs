//! A fresh records database for tests.

use store::records::{Migration, Records};

pub(crate) async fn open(migrations: &[Migration]) -> (tempfile::TempDir, Records) {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/records.db", dir.path().display());
    let records = Records::open(&url).await.unwrap();
    records.migrate(migrations, kernel::Timestamp::from_secs(0)).await.unwrap();
    (dir, records)
}
