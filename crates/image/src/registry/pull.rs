//! Downloads a whole image: its manifest, and everything that the manifest lists.

use std::path::Path;

use futures_util::StreamExt;
use oci_client::client::ClientProtocol;
use oci_client::errors::OciDistributionError;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use oci_spec::image::{Descriptor, DescriptorBuilder, ImageIndex, ImageManifest, MediaType};
use serde::{Deserialize, Serialize};

use super::access::Access;
use super::credentials;
use super::transfer::{Wanted, no_link, retried};
use crate::blobs::{Blobs, digest_of, parse};
use crate::digest::{Digest, check};
use crate::error::{Error, ErrorKind, Result, Said};
use crate::layout;
use crate::limits::{MOST_DOCUMENT, check_descriptors};
use crate::platform::Platform;
use crate::progress::{Progress, Show};

/// How many blobs are downloaded at the same time.
const AT_ONCE: usize = 3;

/// The supported media types of manifests.
const ACCEPTED: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// What to pull, and how.
#[derive(Clone, Debug)]
pub struct PullOptions {
    /// The name of the image, as the user has typed it.
    pub reference: String,
    /// How to access the registry.
    pub access: Access,
    /// Which image to take from an index.
    pub platform: Platform,
    /// How progress is shown.
    pub show: Show,
}

/// The result of a pull.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pulled {
    /// The full name.
    pub reference: String,
    /// The name in the layout.
    pub name: String,
    /// The digest of its manifest.
    pub digest: String,
    /// The size of its layers in bytes.
    pub size: u64,
}

/// Downloads an image into a layout, which is made if it does not exist. Blobs that are already there are kept.
///
/// # Errors
/// The registry cannot be reached, refuses, or sends something other than it announces.
pub fn pull(options: &PullOptions, dir: &Path) -> Result<Pulled> {
    check_descriptors()?;
    let reference = options.access.reference(&options.reference)?;
    let registry = reference.resolve_registry().to_owned();
    let auth = credentials::find(&registry, reference.repository())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().said(|| "network")?;
    let work = async {
        let client = connect(&options.access, &reference, &registry, &auth).await?;
        Pull { client, auth, reference, dir, options }.run().await
    };
    runtime.block_on(work).map_err(|error| error.wrap(format!("{:?}", options.reference)))
}

/// A client that uses TLS, or none if that is permitted and the server supports only HTTP.
async fn connect(
    access: &Access,
    reference: &Reference,
    registry: &str,
    auth: &RegistryAuth,
) -> Result<Client> {
    let encrypted = access.client(registry, ClientProtocol::Https)?;
    if !access.may_be_plain(registry) {
        return Ok(encrypted);
    }
    let refused = |answer: Result<_, OciDistributionError>| matches!(answer, Err(OciDistributionError::RequestError(error)) if error.is_connect());
    if refused(encrypted.pull_manifest_raw(reference, auth, &ACCEPTED).await.map(drop)) {
        let plain = access.client(registry, ClientProtocol::Http)?;
        let answer = plain.pull_manifest_raw(reference, auth, &ACCEPTED).await.map(drop);
        // A server that expects TLS calls this a bad request: then the first error is the one to report.
        let is_bad = matches!(&answer, Err(OciDistributionError::ServerError { code: 400, .. }));
        if !is_bad && !refused(answer) {
            return Ok(plain);
        }
    }
    Ok(encrypted)
}

struct Pull<'a> {
    client: Client,
    auth: RegistryAuth,
    reference: Reference,
    dir: &'a Path,
    options: &'a PullOptions,
}

impl Pull<'_> {
    async fn run(&self) -> Result<Pulled> {
        let (bytes, descriptor) = self.find().await?;
        let manifest: ImageManifest = parse(&bytes, "the manifest of the image")?;
        let config = digest_of(manifest.config())?;
        // Only now, so that nothing is left of what is not there.
        let fresh = layout::Fresh::ensure(self.dir)?;
        let pulled = self.get(&manifest, &bytes, &descriptor).await;
        // A second pull resumes from what has come, but not if the image is not the right one.
        let is_wrong = matches!(&pulled, Err(error) if error.kind() == ErrorKind::Invalid);
        if pulled.is_ok() || !is_wrong && fresh.has_layers(&config) {
            fresh.keep();
        }
        pulled
    }

    /// The manifest of the image for the platform.
    async fn find(&self) -> Result<(Vec<u8>, Descriptor)> {
        let (mut bytes, mut descriptor) = self.manifest(&self.reference, None).await?;
        if crate::index::is_index(&descriptor) {
            let index: ImageIndex = parse(&bytes, "the index of the image")?;
            let chosen = self.options.platform.choose(&index, "the image")?.clone();
            let one = self.reference.clone_with_digest(chosen.digest().to_string());
            (bytes, descriptor) = self.manifest(&one, Some(&chosen)).await?;
        }
        Ok((bytes, descriptor))
    }

    /// Downloads everything that a manifest lists, and gives the image its name.
    async fn get(&self, manifest: &ImageManifest, bytes: &[u8], descriptor: &Descriptor) -> Result<Pulled> {
        let mut blobs: Vec<&Descriptor> = Vec::new();
        for blob in [manifest.config()].into_iter().chain(manifest.layers()) {
            if !blobs.iter().any(|known| known.digest() == blob.digest()) {
                blobs.push(blob);
            }
        }
        let size = blobs.iter().map(|blob| blob.size()).sum();
        self.blobs(&blobs, size, descriptor.platform().is_none()).await?;
        self.write(bytes, descriptor)?;
        let name = layout::name(self.dir, descriptor.clone(), self.tag(), &self.reference.whole())?;
        Ok(Pulled { reference: self.reference.whole(), name, digest: descriptor.digest().to_string(), size })
    }

    /// The tag of the image or its digest.
    fn tag(&self) -> &str {
        self.reference.tag().or(self.reference.digest()).unwrap_or("latest")
    }

    async fn manifest(&self, image: &Reference, known: Option<&Descriptor>) -> Result<(Vec<u8>, Descriptor)> {
        let what = format!("manifest of {}", image.whole());
        // The answer is either complete or an error; the library verifies the digest that the server sends.
        let (bytes, _) =
            retried(self.options.show, &what, || self.client.pull_manifest_raw(image, &self.auth, &ACCEPTED))
                .await?;
        if bytes.len() as u64 > MOST_DOCUMENT {
            return Err(Error::invalid(format!("{what}: it is larger than a manifest may be, 4 MiB")));
        }
        let digest = Digest::of(&bytes);
        let wanted = known.map(digest_of).or_else(|| Some(image.digest()?.parse())).transpose()?;
        if let Some(wanted) = wanted.filter(|wanted| wanted.to_string().starts_with("sha256:")) {
            check(&wanted, &digest).map_err(|error| error.wrap(&what))?;
        }
        let said: Kind = parse(&bytes, &what)?;
        let kind = match (said.media_type, said.manifests.is_some()) {
            (Some(kind), _) => kind,
            (None, true) => ACCEPTED[1].to_owned(),
            (None, false) if said.layers.is_some() => ACCEPTED[0].to_owned(),
            _ => {
                return Err(Error::invalid(format!(
                    "{what}: of a format before schema 2, which says nothing of its digests: push the image again"
                )));
            }
        };
        let digest = digest.to_string().parse().map_err(|_| Error::system("a digest of ours"))?;
        let descriptor = DescriptorBuilder::default()
            .media_type(MediaType::from(kind.as_str()))
            .digest::<oci_spec::image::Digest>(digest)
            .size(bytes.len() as u64);
        let descriptor = match known.and_then(|known| known.platform().clone()) {
            Some(platform) => descriptor.platform(platform),
            None => descriptor,
        };
        Ok((bytes.to_vec(), descriptor.build().map_err(|error| Error::system(error.to_string()))?))
    }

    /// Downloads the configuration and the layers. `alone` says that no index has named the image's platform: then it is
    /// compared before the layers are waited for. What is no image has another configuration, and no platform.
    async fn blobs(&self, blobs: &[&Descriptor], size: u64, alone: bool) -> Result<()> {
        let progress = Progress::start(self.options.show, "pulling", size);
        let of = blobs.len() - 1;
        let one = async |(number, blob): (usize, &&Descriptor)| {
            let digest = digest_of(blob)?;
            if number > 0 {
                progress.begin(number, of);
            }
            let name = digest.short().to_owned();
            let wanted = Wanted {
                client: &self.client,
                image: &self.reference,
                digest,
                size: blob.size(),
                progress: &progress,
            };
            let verb = if wanted.fetch(self.dir).await? { "pulled" } else { "found" };
            if number == 0 && alone && self.options.platform.is_named() {
                let config = Blobs::directory(self.dir)?.document(blob)?;
                self.options.platform.check(&parse(&config, "the configuration of the image")?)?;
            }
            if number > 0 {
                progress.done(verb, number, of, &name, blob.size());
            }
            Ok::<(), Error>(())
        };
        let mut all = blobs.iter().enumerate();
        if alone && let Some(config) = all.next() {
            one(config).await?;
        }
        let mut all = futures_util::stream::iter(all.map(one)).buffered(AT_ONCE);
        while let Some(done) = all.next().await {
            done?;
        }
        Ok(())
    }

    /// Writes the manifest as a blob of the layout.
    fn write(&self, bytes: &[u8], descriptor: &Descriptor) -> Result<()> {
        let path = self.dir.join("blobs").join(digest_of(descriptor)?.path());
        let part = path.with_extension("part");
        no_link(&part)?;
        std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, &path)).said(|| format!("{path:?}"))
    }
}

/// The fields that distinguish the kinds of manifests.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    media_type: Option<String>,
    manifests: Option<serde_json::Value>,
    layers: Option<serde_json::Value>,
}
