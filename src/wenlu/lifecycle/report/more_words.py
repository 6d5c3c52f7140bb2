"""Words of the report's sections on augmentation, sources and forgetting, in English and Chinese."""

from __future__ import annotations

from typing import Literal

MORE_WORDS: dict[Literal["en", "zh"], dict[str, str]] = {
    "en": {
        "section.augmentation": "Augmentation",
        "augmentation.note": "Changed copies of the training part, made once the others were held out. Of each way a "
        "sample was labelled by a linear model that learnt from the originals: of the texts whose original it labels "
        "right, so many keep their label. A way that keeps few teaches wrong labels.",
        "augmentation.way": "way",
        "augmentation.texts": "changed texts",
        "augmentation.unchanged": "nothing new",
        "augmentation.held_out": "thrown away: as held out",
        "augmentation.judged": "judged",
        "augmentation.kept": "label kept",
        "augmentation.right": "originals right",
        "augmentation.before": "before",
        "augmentation.after": "after",
        "augmentation.yes": "yes",
        "augmentation.no": "no",
        "section.sources": "Sources",
        "sources.note": "The main score on the held-out examples of each source.",
        "sources.source": "source",
        "section.forgetting": "What the base could do",
        "forgetting.note": "Before and after this training, on the same texts: probes by the base's own objective, and "
        "older tasks. The interval is of the texts, paired.",
        "forgetting.name": "what",
        "forgetting.metric": "score",
        "forgetting.n": "texts",
        "forgetting.before": "before",
        "forgetting.after": "after",
        "forgetting.difference": "after minus before",
        "forgetting.verdict": "verdict",
        "forgetting.forgot": "forgot",
        "forgetting.better": "better",
        "forgetting.not distinguishable": "not distinguishable",
    },
    "zh": {
        "section.augmentation": "数据增强",
        "augmentation.note": "训练部分的改写副本，在留出其他部分之后才生成。每种方法抽取一部分，由只学过原文的线性模型"
        "判断标签：在原文判断正确的文本中，改写后标签不变的比例如下。比例低的方法会教给模型错误的标签。",
        "augmentation.way": "方法",
        "augmentation.texts": "改写文本",
        "augmentation.unchanged": "没有变化",
        "augmentation.held_out": "与留出文本相同而弃用",
        "augmentation.judged": "判断篇数",
        "augmentation.kept": "标签不变",
        "augmentation.right": "原文判断正确",
        "augmentation.before": "改写前",
        "augmentation.after": "改写后",
        "augmentation.yes": "是",
        "augmentation.no": "否",
        "section.sources": "数据来源",
        "sources.note": "主要分数在各来源的留出样例上的值。",
        "sources.source": "来源",
        "section.forgetting": "基座原有的能力",
        "forgetting.note": "本次训练前后在相同文本上的得分：探测文本按基座自身的目标，旧任务按其指标。区间按文本配对。",
        "forgetting.name": "对象",
        "forgetting.metric": "分数",
        "forgetting.n": "篇数",
        "forgetting.before": "训练前",
        "forgetting.after": "训练后",
        "forgetting.difference": "后减前",
        "forgetting.verdict": "结论",
        "forgetting.forgot": "遗忘",
        "forgetting.better": "提高",
        "forgetting.not distinguishable": "无法区分",
    },
}
