//! Makes the files of a bundle, in a process that has the ids of the container.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::OFlag;
use oci_spec::image::ImageConfiguration;
use rootling_config::generate::Accounts;
use serde::{Deserialize, Serialize};

use crate::archive::{Archive, is_manifest};
use crate::blobs::Blobs;
use crate::busybox;
use crate::error::{Error, Result, Said};
use crate::image::Image;
use crate::limits::{Limits, MOST_DOCUMENT, raise_descriptors};
use crate::platform::Platform;
use crate::progress::{Progress, Show};
use crate::source::Source;
use crate::stream::{self, Bounds, Stream};
use crate::tar::Reader;
use crate::tree::{Layer, Notes, Tree};

/// What to unpack, and where.
#[derive(Clone, Debug)]
pub struct Work {
    /// The image; one from a registry has been downloaded to a layout by now.
    pub source: Source,
    /// Which image to take from an index.
    pub platform: Platform,
    /// The limits.
    pub limits: Limits,
    /// How progress is shown.
    pub show: Show,
    /// The path of the root file system: a directory that does not exist yet, in one that does.
    pub root: PathBuf,
    /// A directory that is removed later.
    pub scratch: PathBuf,
}

/// The result.
#[derive(Debug, Serialize, Deserialize)]
pub struct Done {
    /// The configuration of the image, if it is one.
    pub config: Option<ImageConfiguration>,
    /// The contents of passwd(5) in the root file system.
    pub passwd: String,
    /// The contents of group(5) in the root file system.
    pub group: String,
    /// What the image has but the bundle lacks.
    pub notes: Notes,
    /// The number of layers.
    pub layers: usize,
}

/// Makes the root file system.
///
/// # Errors
/// The image is damaged, malicious or too large, or the system refuses.
pub fn unpack(work: &Work) -> Result<Done> {
    raise_descriptors();
    // The modes are those of the image.
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    fs::create_dir(&work.root).said(|| format!("{:?}", work.root))?;
    fs::set_permissions(&work.root, PermissionsExt::from_mode(0o755)).said(|| format!("{:?}", work.root))?;
    let (config, notes, layers) = match &work.source {
        Source::Busybox => {
            busybox::fill(&work.root).map_err(|error| error.wrap("busybox:"))?;
            (None, Notes::default(), 0)
        }
        Source::Rootfs(path) => (None, archive(work, path)?, 0),
        source => image(work, source)?,
    };
    let Accounts { passwd, group } = Accounts::read(&work.root);
    Ok(Done { config, passwd, group, notes, layers })
}

/// The root file system in the making, in an empty directory.
pub(crate) fn tree(root: &Path, limits: Limits) -> Result<Tree> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    let open = File::options().read(true).custom_flags(flags.bits()).open(root);
    Tree::new(open.said(|| format!("{root:?}"))?.into(), limits)
}

/// Applies one archive and reads it to its end, so that all of it has been checked.
pub(crate) fn apply(tree: &mut Tree, stream: Stream, mut layer: Layer, name: &str) -> Result<()> {
    let mut reader = Reader::new(stream);
    let applied = tree.apply(&mut reader, &mut layer);
    applied.and_then(|()| reader.into_source().finish()).map_err(|error| error.wrap(name))
}

/// Makes a root file system from a single archive.
fn archive(work: &Work, path: &Path) -> Result<Notes> {
    let (blob, size): (Box<dyn Read + Send>, u64) = if path == Path::new("-") {
        (Box::new(io::stdin()), 0)
    } else {
        // The path may be a FIFO to which another program writes the archive: whoever names it expects to wait for
        // that.
        let file = File::open(path).said(|| format!("{path:?}"))?;
        let size = file.metadata().said(|| format!("{path:?}"))?.len();
        (Box::new(file), size)
    };
    let name = if path == Path::new("-") { "standard input".to_owned() } else { format!("{path:?}") };
    let progress = Progress::start(work.show, "unpacking", size);
    let source = stream::Source { blob, diff_id: None };
    let stream = Stream::start(source, Bounds::new(work.limits), Some(Arc::clone(&progress)))?;
    let mut tree = tree(&work.root, work.limits)?;
    apply(&mut tree, stream, Layer::new(true, false), &name)?;
    progress.end();
    // A pipe and a compressed archive are not looked through beforehand.
    if is_of_an_image(&work.root) {
        let file = if path == Path::new("-") { "write it into a file, and name that" } else { "name it" };
        return Err(Error::invalid(format!(
            "{name}: it is an archive of an image: {file} as docker-archive: or oci-archive:"
        )));
    }
    // Such as what a program has written that failed.
    if tree.is_empty() {
        return Err(Error::invalid(format!(
            "{name}: there is nothing in it, so there would be no root file system"
        )));
    }
    tree.finish()
}

/// Whether what has been unpacked are the files of an image rather than those of a root file system.
fn is_of_an_image(root: &Path) -> bool {
    let has = |name: &str| fs::symlink_metadata(root.join(name)).is_ok_and(|found| found.is_file());
    // A link is not followed out of it.
    let read = |name: &str| {
        has(name).then(|| rootling_sys::file::read(&root.join(name), MOST_DOCUMENT).ok()).flatten()
    };
    has("oci-layout") && has("index.json")
        || read("manifest.json").is_some_and(|manifest| is_manifest(&manifest, |_| true))
}

fn image(work: &Work, source: &Source) -> Result<(Option<ImageConfiguration>, Notes, usize)> {
    let image = open(work, source).map_err(|error| error.wrap(source))?;
    let notes = layers(work, &image).map_err(|error| error.wrap(source))?;
    let layers = image.layers();
    Ok((Some(image.config), notes, layers))
}

/// The image of a layout or an archive.
pub(crate) fn open(work: &Work, source: &Source) -> Result<Image> {
    match source {
        Source::Layout(path, reference) => {
            Image::of_layout(Blobs::directory(path)?, reference.as_deref(), &work.platform)
        }
        Source::OciArchive(path, reference) => {
            let archive = Archive::open(path, &work.scratch, &work.limits)?;
            Image::of_layout(Blobs::Archive(archive), reference.as_deref(), &work.platform)
        }
        Source::DockerArchive(path, reference) => {
            let archive = Archive::open(path, &work.scratch, &work.limits)?;
            Image::of_docker(archive, reference.as_deref(), &work.platform)
        }
        other => Err(Error::system(format!("{other} is not an image with layers"))),
    }
}

/// Applies one layer after the other, while the next one is already being read and decompressed.
fn layers(work: &Work, image: &Image) -> Result<Notes> {
    let mut tree = tree(&work.root, work.limits)?;
    let progress = Progress::start(work.show, "unpacking", image.size());
    let bounds = Bounds::new(work.limits);
    let start = |index: usize| -> Result<Option<Stream>> {
        if index == image.layers() {
            return Ok(None);
        }
        Stream::start(image.layer(index)?, bounds.clone(), Some(Arc::clone(&progress))).map(Some)
    };
    let mut next = start(0)?;
    let mut index = 0;
    while let Some(stream) = next {
        let (name, size) = image.name(index);
        progress.begin(index + 1, image.layers());
        next = start(index + 1)?;
        apply(&mut tree, stream, Layer::new(index == 0, true), &image.place(index))?;
        index += 1;
        progress.done("unpacked", index, image.layers(), &name, size);
    }
    progress.end();
    tree.finish()
}
