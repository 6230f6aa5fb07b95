"""Each problem in words: meaning, likely cause, what to do."""

from collections.abc import Mapping

from consent_proxy.domain.refusals import Reason

#: Meaning, likely cause, remedy.
TEXTS: Mapping[Reason, tuple[str, str, str]] = {
    Reason.CONSENT_NEVER_ASKED: (
        "The person has not answered for this purpose and recipient. Nothing was sent.",
        "The app used the feature before it showed the disclosure, or under another identifier than it recorded.",
        "Show the disclosure in force and record the answer with POST /v1/consent/decisions.",
    ),
    Reason.CONSENT_DECLINED: (
        "The person said no. Nothing was sent.",
        "The app offered the feature in spite of the recorded no.",
        "Hide the feature. The person may be offered the choice again where they look for it.",
    ),
    Reason.CONSENT_WITHDRAWN: (
        "The person took the consent back. Nothing was sent, or a late result was withheld.",
        "A request was under way, or the app did not ask GET /v1/consent first.",
        "Hide the feature. A new yes opens it again.",
    ),
    Reason.CONSENT_OUTDATED: (
        "A material change to the disclosure came after the person's yes. Nothing was sent.",
        "A disclosure with material: true is in force, and the person has not seen it.",
        "Show the disclosure in force and record the answer.",
    ),
    Reason.CONSENT_EXPIRED: (
        "The person's yes was given for a time that is over. Nothing was sent.",
        "The disclosure sets consent_valid_for.",
        "Show the disclosure in force and record the answer.",
    ),
    Reason.RECIPIENT_NOT_GRANTED: (
        "The disclosure names the recipient, and the person's yes does not. Nothing was sent.",
        "The recipient was added to the disclosure after the person answered, or the answer named others only.",
        "Show the disclosure in force and record the answer.",
    ),
    Reason.RECIPIENT_NOT_DISCLOSED: (
        "No disclosure in force says that data goes to this recipient for this purpose. Nothing was sent.",
        "Nothing was published yet, or the recipient was configured before people were told.",
        "Publish a disclosure that names the recipient, and ask.",
    ),
    Reason.PURPOSE_MISMATCH: (
        "The request states a purpose that the model does not serve, or that its token does not cover.",
        "Consent-Purpose contradicts the model's manifest, or the subject token is bound to other purposes.",
        "Leave Consent-Purpose out, or get a token for the purpose.",
    ),
    Reason.CONTRACT_MISSING: (
        "No contract with the recipient is in force. Nothing was sent.",
        "None was put, or its term has not begun.",
        "Put one: PUT /v1/contracts/{recipient}.",
    ),
    Reason.CONTRACT_EXPIRED: (
        "The contract with the recipient has ended. Nothing was sent.",
        "Its term ran out, or it was ended.",
        "Put the renewed contract.",
    ),
    Reason.CONTRACT_DOES_NOT_COVER: (
        "The contract with the recipient does not cover this. Nothing was sent.",
        "It lacks the purpose, a category the model cannot do without, or one of its two promises.",
        "Put a contract that covers it, or use another model.",
    ),
    Reason.SUB_PROCESSOR_NOT_COVERED: (
        "The model is made by a company the contract does not name. Nothing was sent.",
        "The hosting provider passes requests for this model on to its maker.",
        "Have the sub-processor added to the contract, or use another model.",
    ),
    Reason.MODEL_UNKNOWN: (
        "No reviewed manifest names this model or version. Nothing was sent.",
        "The model is new here, its name is misspelt, or the version is not pinned.",
        "See consent-proxy models list; add a manifest in MANIFESTS_DIR after reviewing each field.",
    ),
    Reason.SUBJECT_MISMATCH: (
        "The subject token belongs to another person than the request names.",
        "A token was reused for somebody else.",
        "Get a token for this person, or leave Consent-Subject out.",
    ),
    Reason.ROLE_MISSING: (
        "The credential may not do this.",
        "The key lacks the role, or the subject token the scope.",
        "Use a key with the role the message names.",
    ),
    Reason.SUBJECT_MISSING: (
        "The request does not say whose data it is about.",
        "The header Consent-Subject is missing and the credential is no subject token.",
        "Send the header, or a subject token.",
    ),
    Reason.SUBJECT_INVALID: (
        "The identifier cannot name one person.",
        "It is a placeholder such as 'undefined', too long, not UTF-8, or has blanks or control characters.",
        "Send the account's or session's own identifier, percent-encoded once.",
    ),
    Reason.HEADER_REPEATED: (
        "A header that decides something was sent twice.",
        "A proxy or a library added it again.",
        "Send it once.",
    ),
    Reason.JSON_INVALID: (
        "The body is not JSON that every parser reads alike.",
        "Duplicate keys, NaN, a NUL, half of a surrogate pair, bytes that are not UTF-8, or too deep a nesting.",
        "Build the body with a JSON library.",
    ),
    Reason.ENCODING_NOT_ALLOWED: (
        "The body came compressed.",
        "The client sets Content-Encoding.",
        "Send the body as it is.",
    ),
    Reason.CREDENTIAL_MISSING: (
        "The request has no credential.",
        "The Authorization header is missing or of another scheme than Bearer, Key or Token.",
        "Send a service key or a subject token.",
    ),
    Reason.CREDENTIAL_INVALID: (
        "The credential opens nothing here.",
        "It was revoked, is of another installation, or was cut off when it was copied.",
        "Make a new key, or get a new subject token.",
    ),
    Reason.CREDENTIAL_EXPIRED: (
        "The credential's time is over.",
        "Subject tokens live 15 minutes unless asked otherwise.",
        "Get a new one.",
    ),
    Reason.JOB_NOT_YOURS: (
        "There is no such job of this caller and subject.",
        "The id is wrong, or the job was started by another caller or for another person.",
        "Ask with the caller's key that started it.",
    ),
    Reason.MEDIA_NOT_YOURS: (
        "There is no such media of this caller and subject.",
        "The address is wrong, has expired, or is another person's.",
        "Upload the media for this person.",
    ),
    Reason.ARTEFACT_NOT_YOURS: (
        "There is no such artefact of this caller and subject.",
        "It was trained from another person's media, or deleted.",
        "List the person's artefacts.",
    ),
    Reason.BODY_TOO_LARGE: (
        "The body is larger than is taken.",
        "It carries media inline, or a text of an unusual size; or a file is larger than here or there is taken.",
        "Send less, upload media with POST /v1/media, or raise BODY_LIMIT or MEDIA__MAX_BYTES.",
    ),
    Reason.MEDIA_TYPE_UNSUPPORTED: (
        "The body is not of a type that is taken here.",
        "Content-Type is not application/json; or a file is, by its own bytes, of a type that is not cleaned here.",
        "Send JSON, and say so; save a file in a format that is taken, such as JPEG, PNG, MP4, WAV or ZIP.",
    ),
    Reason.FIELD_NOT_PERMITTED: (
        "A field the model cannot do without is not permitted, or Consent-Strict forbids to drop one.",
        "Its category is not in the person's grant or in the contract.",
        "See the paths in the answer; ask for the category, or use another model.",
    ),
    Reason.VALUE_NOT_ALLOWED: (
        "A value is not what its field takes. Nothing was sent.",
        "A number out of range, an unlisted choice, an address inside a text, or a file of another kind.",
        "See the paths in the answer and consent-proxy models show MODEL.",
    ),
    Reason.MEDIA_SOURCE_NOT_ALLOWED: (
        "Media from this source are not sent.",
        "A field of media names nothing held, no earlier result at this provider, no data URI and no listed host.",
        "Upload the file with POST /v1/media and name what it answers, or list the host in MEDIA__SOURCE_HOSTS.",
    ),
    Reason.MEDIA_NOT_CLEAN: (
        "The media could not be shown to be free of metadata.",
        "The format is not wholly understood, or the file is damaged.",
        "Send it in another format.",
    ),
    Reason.BODY_INVALID: (
        "The body or the query is not of the expected form.",
        "A member is missing, misspelt or of another type.",
        "See the places the message names, and /openapi.json.",
    ),
    Reason.TIME_NOT_ALLOWED: (
        "A yes says that it was given in the future.",
        "The phone's clock is more than five minutes ahead.",
        "Correct the clock, or leave occurred_at out.",
    ),
    Reason.DISCLOSURE_MISMATCH: (
        "The answer does not fit the disclosure it names.",
        "An unknown version or language, another digest, or a purpose or recipient it does not name.",
        "Show GET /v1/disclosures/current and send back its version, locale and sha256.",
    ),
    Reason.IDEMPOTENCY_KEY_REUSED: (
        "The Idempotency-Key came before with another body.",
        "The key is derived from something that repeats.",
        "Use a new random key for each new request.",
    ),
    Reason.NOT_OFFERED: (
        "This version does not offer that.",
        "The call is part of the provider's protocol, and not yet, or never, of this service's.",
        "The message says what to use instead.",
    ),
    Reason.PROVIDER_NOT_CONFIGURED: (
        "There is no credential for the provider. Nothing was begun.",
        "The setting is missing on this installation.",
        "Set CONSENT_PROXY_FAL__KEY or CONSENT_PROXY_REPLICATE__TOKEN.",
    ),
    Reason.LEDGER_UNAVAILABLE: (
        "The database does not answer. Nothing was begun, so nothing was sent.",
        "It restarts, fails over, or cannot be reached.",
        "Try again after Retry-After.",
    ),
    Reason.OVERLOADED: (
        "More waits than the service takes on. Nothing was begun.",
        "A burst, or a slow database.",
        "Try again after Retry-After; add a worker if it lasts.",
    ),
    Reason.PROVIDER_UNREACHABLE: (
        "The provider could not be reached. Nothing was sent.",
        "Its host is down, or egress to it is closed.",
        "Try again later; see the provider's status page.",
    ),
    Reason.PROVIDER_TIMEOUT: (
        "The provider did not answer in time. The data may have been sent, and counts as sent.",
        "The model is slow, or the provider hangs.",
        "Use the queue for slow models; do not send again blindly.",
    ),
    Reason.PROVIDER_REFUSED: (
        "The provider refused or failed. It has the data.",
        "The operator's account, its rate limit, or a fault on the provider's side.",
        "The operator finds the status in the transfer's record.",
    ),
    Reason.PROVIDER_REPLY_UNUSABLE: (
        "The provider's reply was lost, or makes no sense. The data was, or may have been, sent.",
        "The connection broke, a redirect, or a body that is not JSON.",
        "Look at the transfer's record before sending again.",
    ),
    Reason.OUTPUT_EXPIRED: (
        "The address of this result has expired.",
        "Addresses live for OUTPUT_TTL.",
        "Fetch results within OUTPUT_TTL; raise it if that is too short.",
    ),
    Reason.NOT_FOUND: (
        "There is nothing here.",
        "The address or the id is wrong.",
        "See /openapi.json.",
    ),
    Reason.METHOD_NOT_ALLOWED: (
        "The address does not take this method.",
        "A GET where a POST is meant, or the reverse.",
        "See /openapi.json.",
    ),
    Reason.ALREADY_EXISTS: (
        "Something else stands under this name.",
        "A published version never changes.",
        "Choose a new version.",
    ),
    Reason.INTERNAL_ERROR: (
        "Something broke here.",
        "An error in this service; the operator's log has its place.",
        "Report it with the time and the transfer's id.",
    ),
}
