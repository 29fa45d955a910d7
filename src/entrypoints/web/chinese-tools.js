// The texts of the key form, the keyboard, the outline and the search, in Chinese.

export default {
  keyOther: "服务接受新的 API 密钥后，才会替换现有密钥。",
  keySeveral: "这段文字里有多个 API 密钥，请只粘贴一个。",
  keyIsHash: "这是服务设置中的条目，只有密钥的哈希值。密钥本身以 lt_ 开头。",
  keyNotThere: "这段文字里没有 API 密钥。密钥以 lt_ 开头。",
  keyUnchecked: "无法连接服务，因此未能检查密钥。请稍后再试。",
  keyChecking: "正在检查…",
  keyIs: "您的身份：{owner}。",
  keyKeep: "保留原来的",
  keyChange: "使用其他 API 密钥",
  keyForget: "忘记此密钥",
  keyForgotten: "本浏览器已忘记 API 密钥和记住的任务。",
  keyOwner: "您的 API 密钥",
};
