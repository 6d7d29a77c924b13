"""What the desktop says, in English and in Simplified Chinese. The daemon's own words stay as they are."""

from __future__ import annotations

import locale
import sys
from collections.abc import Mapping
from typing import Literal

__all__ = ["LANGUAGES", "TEXTS", "Language", "Words", "language_of"]

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")

TEXTS: Mapping[str, tuple[str, str]] = {
    "pause": ("Pause", "暂停"),
    "resume": ("Resume", "继续"),
    "pause_for": ("Pause for", "暂停一段时间"),
    "quarter": ("15 minutes", "15 分钟"),
    "hour": ("An hour", "1 小时"),
    "tomorrow": ("Until tomorrow, 06:00", "到明天 06:00"),
    "idle": ("Nothing to do", "没有待处理的照片"),
    "cutting": ("Cutting out {name}", "正在抠图：{name}"),
    "cutting_several": ("Cutting out {count} photographs", "正在抠图：{count} 张照片"),
    "cutting_for_others": ("Cutting out for another program", "正在为其他程序抠图"),
    "waiting": ("{count} waiting", "{count} 张等待中"),
    "paused": ("Paused", "已暂停"),
    "paused_until": ("Paused until {when}", "已暂停，到 {when}"),
    "starting": ("Starting", "正在启动"),
    "stopping": ("Stopping", "正在停止"),
    "not_running": ("Alphadrop is not running", "Alphadrop 未运行"),
    "attention": ("Alphadrop needs attention", "Alphadrop 需要处理"),
    "attention_count": ("Needs attention ({count})", "需要处理（{count}）"),
    "trouble_folder": ("{name}: {state}", "{name}：{state}"),
    "trouble_configuration": ("The configuration has a mistake", "配置文件有错误"),
    "trouble_model": ("The model is missing", "缺少模型"),
    "trouble_ledger": ("The record of files cannot be used", "无法使用文件记录"),
    "results": ("Last results", "最近的结果"),
    "no_results": ("None yet", "暂无"),
    "folders": ("Open folder", "打开文件夹"),
    "folder_in": ("Drop here: {path}", "拖放到：{path}"),
    "folder_out": ("Cut-outs: {path}", "抠图结果：{path}"),
    "retry": ("Retry {count} that failed", "重试失败的 {count} 张"),
    "retry_none": ("Retry what failed", "重试失败的照片"),
    "page": ("Open in the browser", "在浏览器中打开"),
    "settings": ("Edit the configuration", "编辑配置文件"),
    "start": ("Start Alphadrop", "启动 Alphadrop"),
    "stop": ("Stop Alphadrop", "停止 Alphadrop"),
    "quit": ("Close this icon", "关闭此图标"),
    "first": ("{name} is cut out", "{name} 抠图完成"),
    "more_to_come": ("{count} more to come", "还有 {count} 张"),
    "batch_done": ("{cut} cut out", "{cut} 张抠图完成"),
    "batch_failed": ("{failed} failed", "{failed} 张失败"),
    "batch_no_subject": ("{no_subject} without a subject", "{no_subject} 张没有主体"),
    "one_failed": ("{name} cannot be cut out", "{name} 无法抠图"),
    "one_no_subject": ("{name}: no subject was found", "{name}：没有找到主体"),
    "cut_out": ("Cut out", "抠图完成"),
    "no_subject": ("No subject found", "没有找到主体"),
    "not_all": ("Not everything could be cut out", "有照片未能抠图"),
    "hot_folders_pause": ("Hot folders paused", "热文件夹已暂停"),
    "hot_folders_resume": ("Hot folders resumed", "热文件夹已继续"),
    "did_not_work": ("That did not work", "操作未成功"),
}
"""Every text by its key: English, Simplified Chinese."""


class Words:
    """The texts in one language."""

    def __init__(self, language: Language = "en") -> None:
        """Choose the language."""
        self._column = LANGUAGES.index(language)
        self._between = (", ", "，")[self._column]

    def say(self, key: str, **filled: object) -> str:
        """Return a text with its gaps filled."""
        return TEXTS[key][self._column].format(**filled)

    def join(self, parts: list[str]) -> str:
        """Return several things as one line."""
        return self._between.join(parts)


def language_of(environment: Mapping[str, str]) -> Language:
    """Return the language that the user prefers of those there are; English where it is neither.

    The variables count in the order of gettext: a list in LANGUAGE, which only counts where the locale is not C.
    """
    chosen = next((value for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (value := environment.get(name))), "")
    if not chosen and sys.platform in ("win32", "darwin"):
        chosen = locale.getlocale()[0] or ""
    if chosen.split(".")[0] in ("", "C", "POSIX"):
        return "en"
    for name in (*environment.get("LANGUAGE", "").split(":"), chosen):
        if name.lower().startswith(("zh", "chinese")):
            return "zh"
        if name.lower().startswith("en"):
            return "en"
    return "en"
