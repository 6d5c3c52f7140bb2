"""What `wenlu chat` says, in English and Chinese."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Texts:
    """Sentences of one language; names in braces are filled in."""

    welcome: str
    base: str
    assistant: str
    help: str
    stopped: str
    leave: str
    reset: str
    system: str
    no_system: str
    shown: str
    saved: str
    loaded: str
    undone: str
    forgotten: str
    unknown: str
    speed: str
    first: str
    kept: str
    length: str


ENGLISH = Texts(
    welcome="{model} · {parameters} parameters · /help shows the commands",
    base="A base model: it has not learnt to answer, it continues your text. An empty line lets it go on.",
    assistant="A chat model: it answers you. An empty line lets it go on with its last answer.",
    help="""\
/set KEY=VALUE    change a setting, for example /set temperature=0.7 stop="\\n"
/set KEY          back to its default; /set alone shows all
/system TEXT      a text that stands above the conversation; /system alone shows it
/picture FILE     show a picture with what you say next, to a model that sees
/retry            answer once more what you said last
/undo             take back your last turn and its answer
/reset            forget the conversation
/save FILE        write the conversation; FILE.json also holds settings and turns
/load FILE.json   take up a conversation that was saved so, with its settings
/help             this list
/exit             leave (or Ctrl-D)

A backslash at the end of a line: your text goes on in the next one. Or write several lines
between \"\"\" and \"\"\".
Ctrl-C stops an answer; a second one leaves.""",
    stopped="stopped",
    leave="Ctrl-C again leaves.",
    reset="The conversation is forgotten.",
    system="The system text is set.",
    no_system="There is no system text.",
    shown="{path} goes with what you say next.",
    saved="{path} is written.",
    loaded="{path} is taken up, with turns: {turns}.",
    undone="Taken back: {user}",
    forgotten="The conversation outgrew the model's context: its first {tokens} tokens are forgotten, the system text "
    "stays.",
    unknown="{command} is no command; {hint}",
    speed="{tokens} tokens · {rate:.1f} tokens/s",
    first="first after {seconds:.2f} s",
    kept="{kept} of {guessed} guesses kept ({share:.0%})",
    length="at its limit",
)

CHINESE = Texts(
    welcome="{model} · {parameters} 个参数 · 输入 /help 查看命令",
    base="这是基座模型：它没有学过问答，只会续写您的文字。输入空行让它接着写。",
    assistant="这是对话模型：它会回答您。输入空行让它接着上一个回答写。",
    help="""\
/set 键=值        更改设置，例如 /set temperature=0.7 stop="\\n"
/set 键           恢复默认值；只输入 /set 显示全部设置
/system 文字      置于对话之前的文字；只输入 /system 显示它
/picture 文件     向能看图的模型展示一张图片，随下一句话一起
/retry            重新回答您上一次说的话
/undo             撤回您的上一轮及其回答
/reset            忘记对话
/save 文件        保存对话；文件名以 .json 结尾时连同设置和轮次
/load 文件.json   接着这样保存的对话，连同其设置
/help             本列表
/exit             退出（或按 Ctrl-D）

行末的反斜杠表示下一行继续输入；也可在两个 \"\"\" 之间写多行。
Ctrl-C 停止回答；再按一次退出。""",
    stopped="已停止",
    leave="再按一次 Ctrl-C 退出。",
    reset="对话已忘记。",
    system="系统文字已设置。",
    no_system="没有系统文字。",
    shown="{path} 将随您的下一句话一起展示。",
    saved="已写入 {path}。",
    loaded="已接上 {path}，轮次：{turns}。",
    undone="已撤回：{user}",
    forgotten="对话超出了模型的上下文：最前面的 {tokens} 个词元已被忘记，系统文字保留。",
    unknown="没有命令 {command}；{hint}",
    speed="{tokens} 个词元 · 每秒 {rate:.1f} 个",
    first="首个用时 {seconds:.2f} 秒",
    kept="保留了 {kept}/{guessed} 个猜测（{share:.0%}）",
    length="达到上限",
)


def texts(environment: Mapping[str, str] = os.environ) -> Texts:
    """The texts of the locale that LC_ALL, LC_MESSAGES or LANG name; English where they name no Chinese one."""
    names = (environment.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return CHINESE if next(filter(None, names), "").lower().startswith("zh") else ENGLISH
