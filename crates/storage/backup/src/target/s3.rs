//! Backups in a store with the S3 protocol.

use std::{fmt, path::Path as FilePath, time::Duration};

use futures_util::TryStreamExt;
use object_store::{
    ClientOptions, ObjectStore, ObjectStoreExt, WriteMultipart,
    aws::{AmazonS3, AmazonS3Builder},
    path::Path,
};
use tokio::{
    fs::{File, OpenOptions},
    io::{AsyncReadExt, AsyncWriteExt},
};

use super::error::TargetError;

/// The size of a part of an upload, in bytes: a store accepts 10,000 parts, so 80 GB. It bounds the memory,
/// with [`PARTS_MAX`].
const PART_SIZE: usize = 8 << 20;

/// How many parts of an upload are in flight at once.
const PARTS_MAX: usize = 2;

/// How long a store may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a store may send nothing.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// The keys of a store. Never printed.
#[derive(Clone)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(hidden)")
    }
}

/// What a store with the S3 protocol needs.
#[derive(Debug, Clone)]
pub struct S3Settings {
    pub bucket: String,
    /// What the names of all objects start with, without a slash at the end. May be empty.
    pub prefix: String,
    pub region: String,
    /// The URL of a store other than AWS.
    pub endpoint: Option<String>,
    /// Whether the bucket is in the path of requests, not in the name of the host.
    pub path_style: bool,
    /// Whether plain HTTP is allowed: everybody on the way can read the packets and change them.
    pub allow_http: bool,
    pub credentials: Credentials,
}

#[derive(Debug)]
pub(super) struct Bucket {
    store: AmazonS3,
    prefix: Path,
}

impl Bucket {
    pub(super) fn new(settings: &S3Settings) -> Result<Self, TargetError> {
        let S3Settings {
            bucket,
            prefix,
            region,
            credentials,
            ..
        } = settings;
        // No limit for a whole request: a backup is downloaded in one.
        let options = ClientOptions::new()
            .with_timeout_disabled()
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_read_timeout(READ_TIMEOUT);
        let mut builder = AmazonS3Builder::new()
            .with_client_options(options)
            .with_bucket_name(bucket)
            .with_region(region)
            .with_access_key_id(&credentials.access_key_id)
            .with_secret_access_key(&credentials.secret_access_key)
            .with_virtual_hosted_style_request(!settings.path_style)
            .with_allow_http(settings.allow_http);
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let store = builder.build().map_err(refused(prefix))?;
        Ok(Self {
            store,
            prefix: Path::from(prefix.as_str()),
        })
    }

    pub(super) async fn upload(&self, name: &str, from: &FilePath) -> Result<(), TargetError> {
        let unreadable = |source| TargetError::File {
            path: from.to_owned(),
            source,
        };
        let mut file = File::open(from).await.map_err(unreadable)?;
        let upload = self.store.put_multipart(&self.path(name)).await;
        let mut upload =
            WriteMultipart::new_with_chunk_size(upload.map_err(refused(name))?, PART_SIZE);
        let mut buffer = vec![0; 1 << 20];
        let failed = loop {
            match file.read(&mut buffer).await {
                Ok(0) => break None,
                Ok(size) => upload.write(&buffer[..size]),
                Err(error) => break Some(unreadable(error)),
            }
            if let Err(error) = upload.wait_for_capacity(PARTS_MAX).await {
                break Some(refused(name)(error));
            }
        };
        match failed {
            // This aborts the upload if it fails.
            None => upload.finish().await.map(drop).map_err(refused(name)),
            Some(error) => {
                // The first error says more than one of the abort.
                let _ = upload.abort().await;
                Err(error)
            }
        }
    }

    pub(super) async fn download(&self, name: &str, to: &FilePath) -> Result<(), TargetError> {
        let unwritable = |source| TargetError::File {
            path: to.to_owned(),
            source,
        };
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        let found = self.store.get(&self.path(name)).await;
        let mut chunks = found.map_err(refused(name))?.into_stream();
        let mut file = options.open(to).await.map_err(unwritable)?;
        while let Some(chunk) = chunks.try_next().await.map_err(refused(name))? {
            file.write_all(&chunk).await.map_err(unwritable)?;
        }
        file.sync_all().await.map_err(unwritable)
    }

    pub(super) async fn list(&self) -> Result<Vec<String>, TargetError> {
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        let listed = self.store.list_with_delimiter(prefix).await;
        let objects = listed.map_err(refused(self.prefix.as_ref()))?.objects;
        let names = objects
            .iter()
            .filter_map(|object| object.location.filename());
        Ok(names.map(str::to_owned).collect())
    }

    pub(super) async fn remove(&self, name: &str) -> Result<(), TargetError> {
        self.store
            .delete(&self.path(name))
            .await
            .map_err(refused(name))
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.clone().join(name)
    }
}

fn refused(name: &str) -> impl FnOnce(object_store::Error) -> TargetError + use<> {
    let name = name.to_owned();
    |source| TargetError::Store { name, source }
}
