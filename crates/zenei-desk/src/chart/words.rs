//! The words of charts in both languages. Must not know values. Called by `svg` and `of`.
use zenei_incident::message::Lang;

/// A word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    NoValues,
    Utc,
    Baseline,
    Threshold,
    Battery,
    AtRest,
    UnderLoad,
    Resistance,
    Peak,
    Effort,
    Temperature,
    Signal,
    Errors,
    Operations,
    Failed,
    FailedShare,
    ErrorRate,
    Profiles,
    BatteryPct,
    PerDay,
    PerLockDay,
}

/// Its text.
pub(super) const fn word(word: Word, lang: Lang) -> &'static str {
    let (en, ja) = match word {
        Word::NoValues => ("no values in this time", "この期間の値はありません"),
        Word::Utc => ("UTC", "UTC"),
        Word::Baseline => ("baseline", "平常値"),
        Word::Threshold => ("threshold", "しきい値"),
        Word::Battery => ("Battery voltage", "電池電圧"),
        Word::AtRest => ("at rest", "無負荷"),
        Word::UnderLoad => ("under load", "負荷時"),
        Word::Resistance => ("Internal resistance of the battery", "電池の内部抵抗"),
        Word::Peak => ("Peak motor current", "モーターのピーク電流"),
        Word::Effort => ("Motor charge an operation", "一動作あたりのモーター電荷"),
        Word::Temperature => ("Temperature", "温度"),
        Word::Signal => ("Signal strength", "電波強度"),
        Word::Errors => ("Errors", "エラー"),
        Word::Operations => ("Operations", "動作回数"),
        Word::Failed => ("failed", "失敗"),
        Word::FailedShare => ("Failed operations", "失敗した動作の割合"),
        Word::ErrorRate => ("Errors a lock and day", "錠・日あたりのエラー"),
        Word::Profiles => ("Motor current of the latest operations", "直近の動作のモーター電流"),
        Word::BatteryPct => ("Battery", "電池残量"),
        Word::PerDay => ("per day", "/日"),
        Word::PerLockDay => ("per lock and day", "/錠・日"),
    };
    match lang {
        Lang::En => en,
        Lang::Ja => ja,
    }
}
