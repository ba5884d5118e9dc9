//! A datasource that got another name in the configuration.

use rcm_platform::config::keys;
use rcm_platform::{Context, StageError, streams, voids};

use crate::landed::Landed;
use crate::order::Known;

/// Checks, before the first load of a datasource's stream, that the lake holds no files of such names as those of
/// another datasource: every row of them would be there twice, under two keys.
///
/// # Errors
/// `BadConfig` with both names and what to do; or the store fails.
pub(crate) async fn check(context: &Context, landed: &Landed<'_>, known: &Known) -> Result<(), StageError> {
    let Ok(mapping) = landed.mapping(&context.settings) else { return Ok(()) };
    if !known.loads.is_empty() {
        return Ok(());
    }
    let own = landed.stream(&context.settings)?;
    for stream in streams::landed_in_lake(&context.lake, &landed.feed.entity).await? {
        if stream == own {
            continue;
        }
        let loads = voids::valid_loads(&context.lake, &stream).await?;
        let is_own = |name: &str| mapping.owns_file(&landed.feed.folder, name);
        if let Some(load) = loads.iter().find(|load| is_own(load.source.file_name())) {
            let (old, new, cdm) = (&load.datasource, &mapping.datasource, keys::CDM);
            return Err(StageError::bad_config(format!(
                "`{}` would be the first file of datasource `{new}`, but load {} of `{stream}` has a file of such a \
                 name as one of `{old}`: their rows would be in the lake twice, under two keys. A datasource keeps \
                 its name: call it `{old}` again in {cdm}/. If the files are of two hospitals, void the loads that \
                 are of the other one (rcm load void {stream} {} --why TEXT) and land their files again",
                landed.printable, load.sequence, load.sequence
            )));
        }
    }
    Ok(())
}
