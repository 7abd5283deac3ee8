//! The account at the authority.

use data_encoding::{BASE64URL, BASE64URL_NOPAD};
use instant_acme::{Account, AccountCredentials, Error, ExternalAccountKey, Key, NewAccount};
use quorate_replica::{Renewal, SecretError, SecretKind};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tracing::{info, warn};

use crate::{
    context::{Context, failed_request},
    documents::AccountDocument,
    failure::{Failure, FailureKind, Stop},
    http_client::BoundedClient,
    stored::Slot,
};

/// The account that is stored, with a new key if one is demanded. Creates and stores one if there is none for the
/// configured directory.
pub(crate) async fn account(context: &Context, client: &BoundedClient) -> Result<Account, Stop> {
    let store = &*context.store;
    let mut slot = Slot::<AccountDocument>::load(store)?;
    let demand = store.renewal(SecretKind::AcmeAccount);
    let stored = slot.document.clone().filter(|stored| {
        stored.directory == context.config.directory
            && stored.eab_key_id == context.config.eab_key_id
            && !stored.is_gone
            && stored.new_key.is_none()
    });
    let account = match (stored, demand) {
        (Some(stored), None) => with_contact(context, client, &mut slot, stored).await?,
        (Some(stored), Some(demand)) => {
            with_new_key(context, client, &mut slot, stored, demand).await?
        }
        (None, _) => {
            let document = slot.document.clone();
            let retired = document.filter(|old| old.directory == context.config.directory);
            let retired = retired.and_then(|old| old.retired);
            create(context, client, &mut slot, retired).await?
        }
    };
    deactivate_retired(context, client, &mut slot).await?;
    Ok(account)
}

/// Marks the stored account as one that the authority does not know any more, so that another one is created.
pub(crate) async fn forget(context: &Context) -> Result<(), Stop> {
    let mut slot = Slot::<AccountDocument>::load(&*context.store)?;
    if let Some(document) = slot.document.clone() {
        let is_gone = true;
        slot.save(
            &*context.store,
            AccountDocument {
                is_gone,
                ..document
            },
        )
        .await?;
    }
    Ok(())
}

async fn open(client: &BoundedClient, credentials: serde_json::Value) -> Result<Account, Failure> {
    let credentials: AccountCredentials = serde_json::from_value(credentials).map_err(|_| {
        let text = "the stored account cannot be decoded; a new one will be created";
        Failure {
            ends_account: true,
            ..Failure::new(FailureKind::Account, text)
        }
    })?;
    let builder = Account::builder_with_http(Box::new(client.clone()));
    let opened = builder.from_credentials(credentials).await;
    let what = "reading the directory of the authority";
    opened.map_err(|error| failed_request(client, FailureKind::Directory, what, &error))
}

/// Tells the authority a changed contact.
async fn with_contact(
    context: &Context,
    client: &BoundedClient,
    slot: &mut Slot<AccountDocument>,
    stored: AccountDocument,
) -> Result<Account, Stop> {
    let account = open(client, stored.credentials.clone()).await?;
    if stored.contact != context.config.contact {
        set_contact(context, client, &account).await?;
        let contact = context.config.contact.clone();
        slot.save(&*context.store, AccountDocument { contact, ..stored })
            .await?;
    }
    Ok(account)
}

/// Sets the contact of the account, which the authority accepts from every account (RFC 8555, section 7.3.2).
async fn set_contact(
    context: &Context,
    client: &BoundedClient,
    account: &Account,
) -> Result<(), Failure> {
    let contact: Vec<_> = context.config.contact.iter().map(String::as_str).collect();
    let updated = account.update_contacts(&contact).await;
    updated.map_err(|error| {
        let what = "changing the contact of the account";
        let mut failure = failed_request(client, FailureKind::Account, what, &error);
        // Deactivated accounts are answered with an error, but some authorities answer with their status.
        if matches!(error, Error::Str(text) if text.contains("account status")) {
            failure.doubts_account = true;
        }
        failure.of_account()
    })
}

/// The failure of an order; one of the account if the authority does not accept it any more. The library cannot ask
/// for the account, so it sets the contact that is set.
pub(crate) async fn doubted(
    context: &Context,
    client: &BoundedClient,
    account: &Account,
    failure: Failure,
) -> Failure {
    match set_contact(context, client, account).await {
        Err(ended) if ended.ends_account => failure.of_account(),
        _ => failure,
    }
}

/// Gives the account a new key (RFC 8555, section 7.3.5). If the authority refuses, perhaps because a leader before
/// this one did that and could not store it, there is a new account, and the one before it is deactivated.
async fn with_new_key(
    context: &Context,
    client: &BoundedClient,
    slot: &mut Slot<AccountDocument>,
    stored: AccountDocument,
    demand: Renewal,
) -> Result<Account, Stop> {
    let mut account = open(client, stored.credentials.clone()).await?;
    match account.update_key().await {
        Ok(credentials) => {
            let credentials = to_json(&credentials)?;
            slot.save(
                &*context.store,
                AccountDocument {
                    credentials,
                    ..stored
                },
            )
            .await?;
            info!(
                ?demand,
                account = account.id(),
                "the account at the authority has a new key"
            );
            Ok(account)
        }
        Err(error @ (Error::Api(_) | Error::Str(_) | Error::Unsupported(_)))
            if client.last().status < 500 && client.last().status != 429 =>
        {
            warn!(%error, "the key of the account could not be changed; creating a new account");
            create(context, client, slot, Some(stored.credentials)).await
        }
        Err(error) => {
            let what = "changing the key of the account";
            Err(failed_request(client, FailureKind::Account, what, &error).into())
        }
    }
}

/// Creates an account. Its key is stored before that, so that the next leader gets the same account with it (RFC 8555,
/// section 7.3) if this one does not get to store where it is. The library can do so only without an external account,
/// and without a contact, which is told afterwards.
async fn create(
    context: &Context,
    client: &BoundedClient,
    slot: &mut Slot<AccountDocument>,
    retired: Option<serde_json::Value>,
) -> Result<Account, Stop> {
    let config = &context.config;
    if let Some(binding) = external_account(context)? {
        return create_at_once(context, client, slot, retired, Some(binding)).await;
    }
    let key = stored_key(context, slot, retired).await?;
    let pair = Key::from_pkcs8_der(key.clone_key());
    let pair = pair.map_err(|error| {
        let what = "using the stored key of an account";
        let failure = failed_request(client, FailureKind::Account, what, &error);
        Failure {
            ends_account: true,
            ..failure
        }
    })?;
    let builder = Account::builder_with_http(Box::new(client.clone()));
    let key = PrivateKeyDer::Pkcs8(key);
    let created = builder.create_from_key((pair, key), config.directory.clone());
    let (account, credentials) = match created.await {
        Ok(created) => created,
        Err(error) => {
            let what = "creating an account at the authority";
            let failure = failed_request(client, FailureKind::Account, what, &error).of_account();
            // Perhaps it wants a contact at once.
            if failure.kind == FailureKind::Account && !config.contact.is_empty() {
                let retired = slot.document.clone().and_then(|document| document.retired);
                return create_at_once(context, client, slot, retired, None).await;
            }
            return Err(failure.into());
        }
    };
    let document = AccountDocument {
        directory: config.directory.clone(),
        contact: Vec::new(),
        eab_key_id: config.eab_key_id.clone(),
        new_key: None,
        credentials: to_json(&credentials)?,
        is_gone: false,
        retired: slot.document.clone().and_then(|document| document.retired),
    };
    slot.save(&*context.store, document.clone()).await?;
    info!(account = account.id(), "account created at the authority");
    match config.contact.is_empty() {
        true => Ok(account),
        false => with_contact(context, client, slot, document).await,
    }
}

/// The key that is stored for a new account. Makes and stores one if there is none that can be used.
async fn stored_key(
    context: &Context,
    slot: &mut Slot<AccountDocument>,
    retired: Option<serde_json::Value>,
) -> Result<PrivatePkcs8KeyDer<'static>, Stop> {
    let store = &*context.store;
    let is_demanded = store.renewal(SecretKind::AcmeAccount).is_some();
    let stored = slot.document.clone().filter(|stored| {
        stored.directory == context.config.directory && !stored.is_gone && !is_demanded
    });
    let stored = stored.and_then(|stored| BASE64URL_NOPAD.decode(stored.new_key?.as_bytes()).ok());
    if let Some(stored) = stored {
        return Ok(stored.into());
    }
    let (_, key) = Key::generate_pkcs8()
        .map_err(|_| Failure::new(FailureKind::Account, "no key of an account can be made"))?;
    let document = AccountDocument {
        directory: context.config.directory.clone(),
        contact: Vec::new(),
        eab_key_id: context.config.eab_key_id.clone(),
        new_key: Some(BASE64URL_NOPAD.encode(key.secret_pkcs8_der())),
        credentials: serde_json::Value::Null,
        is_gone: false,
        retired,
    };
    slot.save(store, document).await?;
    Ok(key)
}

/// Creates an account with a key that the library makes. A leader that stops before it stores the account leaves one
/// that nobody uses.
async fn create_at_once(
    context: &Context,
    client: &BoundedClient,
    slot: &mut Slot<AccountDocument>,
    retired: Option<serde_json::Value>,
    binding: Option<ExternalAccountKey>,
) -> Result<Account, Stop> {
    let config = &context.config;
    let contact: Vec<_> = config.contact.iter().map(String::as_str).collect();
    let new = NewAccount {
        contact: &contact,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let builder = Account::builder_with_http(Box::new(client.clone()));
    let created = builder
        .create(&new, config.directory.clone(), binding.as_ref())
        .await;
    let (account, credentials) = created.map_err(|error| {
        let what = "creating an account at the authority";
        failed_request(client, FailureKind::Account, what, &error)
    })?;
    let document = AccountDocument {
        directory: config.directory.clone(),
        contact: config.contact.clone(),
        eab_key_id: config.eab_key_id.clone(),
        new_key: None,
        credentials: to_json(&credentials)?,
        is_gone: false,
        retired,
    };
    match slot.save(&*context.store, document).await {
        Ok(()) => {
            info!(account = account.id(), "account created at the authority");
            Ok(account)
        }
        Err(error) => {
            if error == SecretError::Replaced {
                // Another one was stored, which counts. If this fails, an unused account remains.
                let _ = account.deactivate().await;
            }
            Err(error.into())
        }
    }
}

/// Deactivates an account whose key others may know. If the authority cannot do it now, the next use of the account
/// tries again: it must hold up no order.
async fn deactivate_retired(
    context: &Context,
    client: &BoundedClient,
    slot: &mut Slot<AccountDocument>,
) -> Result<(), Stop> {
    let Some(document) = slot.document.clone() else {
        return Ok(());
    };
    let Some(retired) = document.retired.clone() else {
        return Ok(());
    };
    match deactivate(client, retired).await {
        Ok(()) => info!("the account before this one is deactivated"),
        Err(failure) => {
            // Perhaps the authority does not know it with this key.
            let is_final = failure.kind == FailureKind::Account;
            context.metrics.failures_total.of(failure.kind).inc();
            warn!(
                reason = failure.text,
                is_final, "the account before this one is not deactivated"
            );
            if !is_final {
                return Ok(());
            }
        }
    }
    let retired = None;
    slot.save(
        &*context.store,
        AccountDocument {
            retired,
            ..document
        },
    )
    .await?;
    Ok(())
}

/// Deactivates an account. The failure is of the account if the authority refuses for good.
async fn deactivate(client: &BoundedClient, credentials: serde_json::Value) -> Result<(), Failure> {
    let account = open(client, credentials).await?;
    let mut deactivated = account.deactivate().await;
    // The library ignores what the authority says.
    if let (Ok(()), Some(problem)) = (&deactivated, client.last().problem) {
        deactivated = Err(Error::Api(problem));
    }
    let what = "deactivating the account before this one";
    deactivated.map_err(|error| failed_request(client, FailureKind::Account, what, &error))
}

fn external_account(context: &Context) -> Result<Option<ExternalAccountKey>, Failure> {
    let config = &context.config;
    if config.eab_key_id.is_empty() {
        return Ok(None);
    }
    let file = &config.eab_hmac_key_file;
    let text = context.read(file, true)?;
    let text = text.trim_ascii();
    // Authorities write it with padding or without.
    let key = BASE64URL_NOPAD
        .decode(text)
        .or_else(|_| BASE64URL.decode(text));
    let key = key.ok().filter(|key| !key.is_empty()).ok_or_else(|| {
        let text = format!("{} is no key in base64url", file.display());
        Failure::new(FailureKind::Config, text)
    })?;
    Ok(Some(ExternalAccountKey::new(
        config.eab_key_id.clone(),
        &key,
    )))
}

fn to_json(credentials: &AccountCredentials) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(credentials)
        .map_err(|_| Failure::new(FailureKind::Account, "the account cannot be encoded"))
}
