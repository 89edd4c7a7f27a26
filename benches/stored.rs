//! Pictures as encoders want them: shared by benches and tests.

use calotype::engine::scalar;
use calotype::pixel::{Image, Model, YcbcrForm};
use calotype::plan::EncodeSpec;

/// R G B in the planes that `spec` stores; others, and what encoders convert themselves, as they are.
pub(crate) fn as_stored(image: &Image, spec: &EncodeSpec) -> Image {
    match spec.form() {
        Some(form @ (YcbcrForm::Half | YcbcrForm::Video)) if image.format().model == Model::Rgb => {
            scalar::rgb_to_ycbcr(image, form)
        }
        _ => image.clone(),
    }
}
