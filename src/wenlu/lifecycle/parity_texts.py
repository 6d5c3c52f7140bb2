"""Texts that models are compared on where none are given: English, Chinese, code, numbers, both together."""

from __future__ import annotations

TEXTS = (
    "The ferry left the harbour at half past six, and nobody on board had noticed that the captain was missing.",
    "Water boils at 100 °C at sea level; at 3,000 m it boils at about 90 °C, so potatoes take longer to cook.",
    "“Where did you put the key?” she asked. He shrugged: it wasn't under the mat, and it wasn't in the drawer.",
    "def mean(values, n):\n    total = 0\n    for value in values:\n        total += value\n    return total / n",
    "渡船六点半离开港口，船上没有人发现船长不见了。海面很平静，远处的灯塔刚刚亮起来。",
    "“钥匙放在哪里了？”她问。他耸耸肩：垫子下面没有，抽屉里也没有。",
    "2024年第三季度，产量增长了12.5%，其中出口占38%，其余销往国内市场。",
    "Tea (茶, chá) is drunk in many ways 🍵: with milk in England, with mint in Morocco, 配点心在广州。",
)
