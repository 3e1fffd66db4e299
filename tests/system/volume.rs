//! Small file systems that fail for real, each mounted for one test: as root, with `mount` and loop devices.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bytes of an image; what is not written takes no room.
const IMAGE_BYTES: u64 = 64 << 20;

/// A mounted file system; dropped, it is gone.
pub struct Volume {
    at: PathBuf,
}

impl Volume {
    /// One in memory that has room for so many bytes.
    pub fn in_memory(at: &Path, bytes: usize) -> Volume {
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "none"]).arg(at));
        Volume { at: at.to_owned() }
    }

    /// Ext4 in an image, which turns read-only at the first error that it finds in itself.
    fn of(image: &Path, at: &Path) -> Volume {
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop,errors=remount-ro"]).args([image, at]));
        Volume { at: at.to_owned() }
    }

    /// Leaves no byte free.
    pub fn fill(&self) {
        let mut ballast = File::create(self.at.join("ballast")).unwrap();
        while ballast.write_all(&[0; 4_096]).is_ok() {}
    }

    pub fn free(&self) {
        fs::remove_file(self.at.join("ballast")).unwrap();
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}

/// A disk with ext4 on it, which is an image in a file system of its own.
pub struct Device {
    mounted: Volume,
    /// Holds the image and can be filled: the disk promises more than it has, and tells it when it is to sync.
    backing: Volume,
    dir: tempfile::TempDir,
}

impl Device {
    /// One mounted on `at` that has so many bytes behind it. Without a journal of its own the file system stays
    /// writable when the disk fails.
    pub fn mount(at: &Path, bytes: usize, journal: bool) -> Device {
        let dir = tempfile::tempdir().unwrap();
        let backing = dir.path().join("backing");
        fs::create_dir(&backing).unwrap();
        let backing = Volume::in_memory(&backing, bytes);
        let image = backing.at.join("image");
        File::create(&image).unwrap().set_len(IMAGE_BYTES).unwrap();
        let features = if journal { "has_journal" } else { "^has_journal" };
        run(Command::new("mkfs.ext4").args(["-q", "-O", features]).arg(&image));
        Device { mounted: Volume::of(&image, at), backing, dir }
    }

    /// From now on what is new on the disk cannot be synced.
    pub fn fill(&self) {
        // It tells of earlier failures, too, which are known.
        let _ = Command::new("sync").arg("--file-system").arg(&self.mounted.at).output();
        self.backing.fill();
    }

    pub fn free(&self) {
        self.backing.free();
    }

    /// The file system finds an error in itself and turns read-only under its open files.
    pub fn turn_read_only(&self) {
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let mut mounts = mounts.lines().filter_map(|line| line.split_once(' '));
        let at = format!("{} ", self.mounted.at.display());
        let (device, _) = mounts.find(|(_, rest)| rest.starts_with(&at)).expect("it is mounted");
        let name = device.rsplit('/').next().unwrap_or_default();
        fs::write(format!("/sys/fs/ext4/{name}/trigger_fs_error"), "1").unwrap();
    }

    /// What the disk holds at this moment, as after a power cut: what was written and never synced is not in it.
    pub fn cut_power(&self) -> PathBuf {
        let copy = self.dir.path().join("cut");
        fs::copy(self.backing.at.join("image"), &copy).unwrap();
        copy
    }

    /// Mounts such a copy in place of the disk, checked as at a boot.
    pub fn boot(&self, copy: &Path) -> Volume {
        let checked = Command::new("e2fsck").arg("-fy").arg(copy).output().expect("install e2fsprogs");
        assert!(checked.status.code().is_some_and(|code| code < 4), "{}", String::from_utf8_lossy(&checked.stdout));
        Volume::of(copy, &self.mounted.at)
    }
}

fn run(command: &mut Command) {
    let ran = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: install mount and e2fsprogs"));
    let why = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{command:?}: {why}: file systems are mounted here: run this suite as root");
}
