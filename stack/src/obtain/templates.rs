//! Debian's Alertmanager reads its default templates from `/usr/share` and does not start without them.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};
use nix::unistd::Uid;

const PLACE: &str = "/usr/share/prometheus/alertmanager";

/// Lays the unpacked package over `/usr/share`, or in its place where no overlay can be made, and becomes the program.
const MOUNT: &str = r#"share=$1; shift
mount -t overlay overlay -o "lowerdir=$share:/usr/share" /usr/share 2>/dev/null || mount --bind "$share" /usr/share || exit 1
exec "$@""#;

/// The command line that runs `program` with its templates in place.
pub(crate) fn provide(program: &Path, arguments: Vec<OsString>) -> anyhow::Result<(PathBuf, Vec<OsString>)> {
    let plain = (program.to_owned(), arguments);
    let Some(share) = program.parent().and_then(Path::parent).map(|usr| usr.join("share")) else {
        return Ok(plain);
    };
    let templates = share.join("prometheus/alertmanager");
    // Upstream's has them built in.
    if !templates.join("default.tmpl").exists() || Path::new(PLACE).join("default.tmpl").exists() {
        return Ok(plain);
    }
    if Uid::effective().is_root() && copy(&templates).is_ok() {
        return Ok(plain);
    }
    if !can_mount() {
        bail!(
            "Debian's Alertmanager needs its templates in {PLACE}, and this system lets you mount nothing there: \
             `sudo mkdir -p {PLACE} && sudo cp {}/* {PLACE}`, or put Alertmanager's own release on PATH",
            templates.display()
        );
    }
    let share = share.canonicalize().with_context(|| format!("{} is gone", share.display()))?;
    let mut wrapped: Vec<OsString> =
        ["--user", "--map-root-user", "--mount", "--", "sh", "-c", MOUNT, "sh"].map(Into::into).to_vec();
    wrapped.push(share.into());
    wrapped.push(plain.0.into());
    wrapped.extend(plain.1);
    Ok(("unshare".into(), wrapped))
}

/// Whether an ordinary user may have a view of the file system of their own.
fn can_mount() -> bool {
    let attempt = Command::new("unshare").args(["--user", "--map-root-user", "--mount", "true"]).output();
    attempt.is_ok_and(|output| output.status.success())
}

/// Places the templates and nothing else of that folder, each at once: another Alertmanager may be starting.
fn copy(templates: &Path) -> io::Result<()> {
    fs::create_dir_all(PLACE)?;
    for file in fs::read_dir(templates)? {
        let template = file?.path();
        let Some(name) = template.file_name().filter(|_| template.extension().is_some_and(|kind| kind == "tmpl"))
        else {
            continue;
        };
        let place = Path::new(PLACE).join(name);
        let aside = place.with_extension(format!("{}.new", fastrand::u64(..)));
        fs::copy(&template, &aside)?;
        fs::rename(aside, place)?;
    }
    Ok(())
}
