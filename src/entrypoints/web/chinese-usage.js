// The texts of the usage in Chinese.

export default {
  usage: "用量",
  usagePeriod: "时间",
  usageMonth: "本月",
  usageLast: "上月",
  usage90: "90 天",
  usageDays: "按日（UTC）",
  usageModels: "按模型",
  usageOwners: "按 API 密钥",
  usageNone: "这段时间没有用量。",
  usageTask: "{count} 个任务",
  usageTasks: "{count} 个任务",
  usageRead: "输入 {count} 个 token{cached}",
  usageCached: "（缓存 {count}）",
  usageWritten: "输出 {count} 个{reasoned}",
  usageReasoned: "（推理 {count}）",
  usageUnpriced: "没有价格：{models}。",
  usageAway: "无法连接服务，请稍后再试。",
};
