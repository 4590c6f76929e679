//! Power loss: the data lies on a filesystem that is shut down like a machine whose plug is
//! pulled. With fsync nothing acknowledged is lost; without it the harness must see loss.
//!
//! Needs root, loop devices and `xfs_io`; `cargo xtask test` leaves this out where they are not.

mod full;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use testkit::{AckLog, compare};

use super::kills::readings;
use super::writers::{self, Target};
use crate::harness::{DEADLINE, Plainview, Setup};

const BATCHES: u64 = 20;

/// An ext4 filesystem in a file, mounted.
struct Disk {
    dir: TempDir,
}

impl Disk {
    fn make() -> Self {
        let disk = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(disk.mount_point()).unwrap();
        run("truncate", &["-s", "256M", text(&disk.image())]);
        run("mkfs.ext4", &["-q", "-F", text(&disk.image())]);
        disk.mount();
        disk
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    fn mount_point(&self) -> PathBuf {
        self.dir.path().join("disk")
    }

    fn mount(&self) {
        run("mount", &["-o", "loop", text(&self.image()), text(&self.mount_point())]);
    }

    fn unmount(&self) {
        run("umount", &[text(&self.mount_point())]);
    }

    /// Stops the filesystem at once: what was not flushed is gone.
    fn pull_the_plug(&self) {
        run("xfs_io", &["-x", "-c", "shutdown", text(&self.mount_point())]);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, because a failed test may still hold files open.
        drop(Command::new("umount").args(["-l", text(&self.mount_point())]).output());
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Writes, pulls the plug, mounts again; how many acknowledged readings are gone.
async fn lost_after_power_loss(durability: &str) -> (usize, usize) {
    let disk = Disk::make();
    let setup = Setup::default().data(disk.mount_point().join("data"));
    let mut plainview = setup.with("DATA__DURABILITY", durability).start().await;
    let acks = tempfile::tempdir().unwrap();
    let file = acks.path().join("readings");
    let target = Target {
        base: plainview.base.clone(),
        key: plainview.key.clone(),
        going: Arc::new(AtomicBool::new(true)),
        answered: Arc::default(),
    };
    let writer = tokio::spawn(writers::write_readings(target.clone(), 0, file.clone()));
    plainview
        .until(DEADLINE, "some batches", async |_| {
            (target.answered.load(Ordering::Relaxed) >= BATCHES).then_some(())
        })
        .await;
    // A machine without power acknowledges nothing, so what is acknowledged from here on does not
    // count: an fsync that races with the shutdown may find its transaction ended, and succeed.
    let batches = target.answered.load(Ordering::Relaxed);
    disk.pull_the_plug();
    target.going.store(false, Ordering::Relaxed);
    plainview.kill();
    writer.await.unwrap();
    disk.unmount();
    disk.mount();

    let mut acked = AckLog::load(&file).unwrap();
    acked.truncate((batches * writers::ROWS) as usize);
    let lost = compare(&acked, surviving(&mut plainview).await).lost;
    if let (Some(first), Some(last)) = (lost.first(), lost.last()) {
        let newest = acked.last().map(|ack| &ack.id);
        println!("lost {first:?} to {last:?}; the newest acknowledged was {newest:?}");
    }
    let lost = lost.len();
    plainview.kill();
    tokio::time::sleep(Duration::from_millis(100)).await;
    disk.unmount();
    (lost, acked.len())
}

/// What is there after the plug was pulled; nothing when even the files are gone.
async fn surviving(plainview: &mut Plainview) -> Vec<testkit::Ack> {
    plainview.launch().await;
    let known = plainview.get("/api/v1/sensors/sensors?site=faults").await;
    if known["items"].as_array().is_none_or(Vec::is_empty) {
        return Vec::new();
    }
    readings(plainview, 0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn power_loss_loses_nothing_that_was_acknowledged() {
    let (lost, acked) = lost_after_power_loss("full").await;
    println!("with fsync: {lost} of {acked} acknowledged readings lost");
    assert_eq!(lost, 0);
    assert!(acked > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_harness_sees_loss_where_fsync_is_off() {
    let (lost, acked) = lost_after_power_loss("off").await;
    println!("without fsync: {lost} of {acked} acknowledged readings lost");
    assert!(lost > 0, "nothing was lost without fsync: the harness is blind");
}
