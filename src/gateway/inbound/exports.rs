//! Params of exports.

use super::request::{Body, Parsed, parse_params};
use super::values::{export_id, parse_named, period, word};
use super::{Message, WireError};
use crate::access::operation::Operation;
use crate::domain::exports::{Column, Format, Report};
use crate::domain::named::Named;
use crate::engine::command::Command;
use crate::engine::exports::RequestedExport;
use crate::engine::query::Query;
use crate::wire::leaf::Names;
use crate::wire::params as p;

pub(super) fn export_add<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::ExportAdd<'_> = parse_params(e)?;
    let report = word("report", &params.report)?;
    let order = RequestedExport {
        report,
        format: parse_named("format", &params.format, Format::in_any_case, "give csv or tsv")?,
        columns: params.fields.map(|fields| columns(report, fields)).transpose()?.flatten(),
        period: period(params.start.as_deref(), params.end.as_deref())?,
        description: params.description.as_deref().unwrap_or_default().to_owned(),
    };
    Ok((params.token, Body::Command(Command::AddExport(order))))
}

pub(super) fn export_status<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::ExportStatus<'_> = parse_params(e)?;
    let id = params.export_id.as_deref().map(export_id).transpose()?;
    Ok((params.token, Body::Query(Query::Exports(Operation::ExportStatus, id))))
}

pub(super) fn export_retrieve<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::ExportRef<'_> = parse_params(e)?;
    let id = export_id(&params.export_id)?;
    Ok((params.token, Body::Query(Query::Exports(Operation::ExportRetrieve, Some(id)))))
}

pub(super) fn export_remove<'a>(e: &Message<'a>) -> Parsed<'a> {
    let params: p::ExportRef<'_> = parse_params(e)?;
    Ok((params.token, Body::Command(Command::RemoveExport(export_id(&params.export_id)?))))
}

/// The report's columns by name, in the order given, each once; `None` for `all`, the default of v2's REST.
fn columns(report: Report, fields: Names<'_>) -> Result<Option<Vec<Column>>, WireError> {
    let names = fields.list().ok_or_else(|| WireError::new("Fields field must be an array"))?;
    if let [name] = &names[..]
        && &**name == "all"
    {
        return Ok(None);
    }
    let mut columns = Vec::new();
    for name in &names {
        let found = report.columns().iter().find(|column| column.name() == &**name);
        match found {
            Some(column) if !columns.contains(column) => columns.push(*column),
            Some(column) => return Err(WireError::field("fields", &format!("name {} once", column.name()))),
            None => return Err(WireError::field("fields", &format!("there is no {name:.20}", name = &**name))),
        }
    }
    if columns.is_empty() {
        return Err(WireError::field("fields", "name a column, or leave it out"));
    }
    Ok(Some(columns))
}
