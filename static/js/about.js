// Puts both chats of the about page to work.

import { KafkaChat } from "./kafka-chat.js";
import { WsChat } from "./ws-chat.js";

new KafkaChat(document.getElementById("kafka-chat"));
new WsChat(document.getElementById("ws-chat"));
