//! `GET /exports/{token}`: a file by its link. The first request uses up the link, and the key that asked for it is
//! checked again, with the address that downloads (law 6).

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use axum::{Extension, Router};
use futures::stream::try_unfold;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use crate::access::operation::Operation;
use crate::access::principal::Principal;
use crate::domain::exports::Format;
use crate::engine::exports::Export;
use crate::engine::query::{Query, View};
use crate::engine::reject::{Code, Reject};
use crate::gateway::context::Gateway;
use crate::gateway::peer::Peer;
use crate::gateway::refusal::Refusal;
use crate::sequencer::handle::{Answer, Work};

/// Bytes of a file that each download holds in memory.
const CHUNK_BYTES: usize = 64 * 1024;

/// The route of the links.
pub fn routes(gateway: Arc<Gateway>) -> Router {
    Router::new().route("/exports/{token}", any(fetch)).with_state(gateway)
}

async fn fetch(
    State(gateway): State<Arc<Gateway>>,
    Extension(Peer(peer)): Extension<Peer>,
    method: Method,
    Path(token): Path<String>,
) -> Result<Response, Refusal> {
    // A HEAD request must not use up the link.
    if method != Method::GET {
        return Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, Reject::invalid("method", "use GET")));
    }
    let gone = || {
        let reject = Reject::field(Code::UnknownExport, "token", "ask for a new link");
        Refusal::new(StatusCode::NOT_FOUND, reject)
    };
    let (id, by) = gateway.exports.redeem(&token, (gateway.clock)()).ok_or_else(gone)?;
    let query = Work::Query(Query::Exports(Operation::ExportRetrieve, Some(id)));
    let judged = gateway.ask(Principal { peer, ..by }, query).await;
    let answer = judged.map_err(|why| why.over_http(StatusCode::FORBIDDEN))?;
    let Answer::View(View::Exports(mut found)) = answer else { return Err(Refusal::unavailable()) };
    let export = found.pop().ok_or_else(gone)?;
    let opened = async {
        let file = File::open(gateway.exports.path(&export)).await?;
        let length = file.metadata().await?.len();
        Ok::<_, std::io::Error>((file, length))
    };
    match opened.await {
        Ok((file, length)) => Ok(stream(&export, file, length)),
        Err(error) => {
            tracing::warn!(export = %export.id, %error, "an export's file is lost and is made again");
            gateway.exports.changed();
            Err(Refusal::retry_after(StatusCode::SERVICE_UNAVAILABLE, Code::ExportNotReady, 5))
        }
    }
}

fn stream(export: &Export, file: File, length: u64) -> Response {
    let kind = match export.format {
        Format::Csv => "text/csv; charset=utf-8; header=present",
        Format::Tsv => "text/tab-separated-values; charset=utf-8",
    };
    let name = format!("{}-{}.{}", export.report.name(), export.id, export.format.name());
    let chunks = try_unfold(file, |mut file| async move {
        let mut chunk = vec![0; CHUNK_BYTES];
        let read = file.read(&mut chunk).await?;
        chunk.truncate(read);
        Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(chunk), file)))
    });
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
    ];
    (headers, Body::from_stream(chunks)).into_response()
}
